"""`/api/kernels/ID/channels`: the request for a websocket. What goes through it is `channels`' business."""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.websocket import KernelWebsocketHandler as ServerHandler
from kernel_gateway.services.kernels.handlers import default_handlers
from tornado import web

from ..handler import GatewayHandler

#: What tornado reads at once, at most (IOStream.max_buffer_size, 100 MiB), with room for the frame around it.
LARGEST = 96 * 1024 * 1024
#: How much larger than `max_message_size` a message may be that is told so; a still larger one is not read.
TOLD = 4

StockHandler = next(handler for _, handler, *_ in default_handlers if issubclass(handler, ServerHandler))


class KernelWebsocketHandler(GatewayHandler, StockHandler):  # type: ignore[misc, valid-type]
    """Opens a notebook's connection to its kernel, once that has answered and there is room."""

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

    async def get(self, *args: str, **kwargs: str) -> None:
        """101, and 400 or 403 for a request that is none for a websocket, which tells no connection of its end."""
        try:
            await super().get(*args, **kwargs)  # type: ignore[misc]
        finally:
            connection: Any = getattr(self, "connection", None)
            if connection is not None:
                connection.disconnect()
