"""`/api/kernels/ID/channels`: the websocket of a notebook."""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.websocket import KernelWebsocketHandler as ServerHandler
from kernel_gateway.services.kernels.handlers import default_handlers

from .handler import GatewayHandler

StockHandler = next(handler for _, handler, *_ in default_handlers if issubclass(handler, ServerHandler))


class KernelWebsocketHandler(GatewayHandler, StockHandler):  # type: ignore[misc, valid-type]
    """Accepts it once the kernel has answered and there is room for it."""

    async def get(self, *args: str, **kwargs: str) -> None:
        """101, and 400 or 403 for a request that is none for a websocket, which tells no connection of its end."""
        try:
            await super().get(*args, **kwargs)  # type: ignore[misc]
        finally:
            connection: Any = getattr(self, "connection", None)
            if connection is not None:
                connection.disconnect()
