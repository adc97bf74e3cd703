"""`/api/kernels/ID/channels`: the request for a websocket. What goes through it is `channels`' business."""

from __future__ import annotations

from typing import Any

from kernel_gateway.services.kernels import handlers as stock
from tornado import web

from .handler import GatewayHandler

#: What tornado reads at once, at most (IOStream.max_buffer_size, 100 MiB), with room for the frame around it.
LARGEST = 96 * 1024 * 1024
#: How much larger than `max_message_size` a message may be that is told so; a still larger one is not read.
TOLD = 4

StockWebsocketHandler: Any = next(
    handler for _, handler in stock.default_handlers if handler.__name__ == "KernelWebsocketHandler"
)


class KernelWebsocketHandler(GatewayHandler, StockWebsocketHandler):  # type: ignore[misc]
    """Opens a notebook's connection to its kernel."""

    @property
    def max_message_size(self) -> int:
        """Called by tornado: bytes of a message that closes the websocket unread (RFC 6455, status 1009)."""
        return min(TOLD * self.settings["kg_max_message_size"] or LARGEST, LARGEST)

    async def pre_get(self) -> None:
        """Called before the websocket opens. 400 for a session id that no message's header can hold."""
        # jupyter_client writes it in ASCII (session.Session._session_changed).
        if not self.get_argument("session_id", "").isascii():
            raise web.HTTPError(400, "'session_id' must be ASCII.")
        await super().pre_get()
