"""`/api/kernels/ID/channels`: the request for a websocket. What goes through it is `channels`' business."""

from __future__ import annotations

from typing import Any

from kernel_gateway.services.kernels import handlers as stock
from tornado import web

from .handler import GatewayHandler

StockWebsocketHandler: Any = next(
    handler for _, handler in stock.default_handlers if handler.__name__ == "KernelWebsocketHandler"
)


class KernelWebsocketHandler(GatewayHandler, StockWebsocketHandler):  # type: ignore[misc]
    """Opens a notebook's connection to its kernel."""

    async def pre_get(self) -> None:
        """Called before the websocket opens. 400 for a session id that no message's header can hold."""
        # jupyter_client writes it in ASCII (session.Session._session_changed).
        if not self.get_argument("session_id", "").isascii():
            raise web.HTTPError(400, "'session_id' must be ASCII.")
        await super().pre_get()
