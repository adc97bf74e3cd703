"""`/api/kernels/ID/channels`: the request for a websocket. What goes through it is the business of `connection`."""

from __future__ import annotations

from kernel_gateway.services.kernels import handlers
from tornado import web

from ..handler import GatewayHandler
from ..library_internals import gateway_setting
from ..stock_handlers import stock_handler
from .connection import ChannelsConnection

#: Most bytes of a message that tornado reads (IOStream.max_buffer_size, 100 MiB), with room for the frame around it.
LARGEST = 96 * 1024 * 1024
#: A message of up to so many times `max_message_size` is read, and refused with a sentence; a larger one is not read.
READ_FACTOR = 4

StockHandler = stock_handler(handlers, "KernelWebsocketHandler")


class KernelWebsocketHandler(GatewayHandler, StockHandler):  # type: ignore[misc, valid-type]
    """Opens a notebook's connection to its kernel, once that has answered and there is room."""

    @property
    def max_message_size(self) -> int:
        """Most bytes of a message; a larger one closes the websocket unread (RFC 6455, status 1009). For tornado."""
        return min(READ_FACTOR * gateway_setting(self, "max_message_size") or LARGEST, LARGEST)

    async def pre_get(self) -> None:
        """Prepare the connection. Called before the websocket opens.

        Raises 400 for a session id that is not ASCII: jupyter_client can't write it into a header
        (session.Session._session_changed), and 403 for a user who may not run code.
        """
        if not self.get_argument("session_id", "").isascii():
            raise web.HTTPError(400, "'session_id' must be ASCII.")
        try:
            await super().pre_get()
        except web.HTTPError as error:
            if error.status_code != 403:
                raise
            # What Jupyter Server's `authorized` says of the other routes.
            raise web.HTTPError(403, f"User is not authorized to execute on resource: {self.auth_resource}.") from error

    async def get(self, *args: str, **kwargs: str) -> None:
        """101; 400 or 403 for a request that is not a websocket's or of a foreign origin."""
        try:
            await super().get(*args, **kwargs)  # type: ignore[misc]
        finally:
            # tornado calls no on_close for a websocket that it did not accept.
            connection: ChannelsConnection | None = getattr(self, "connection", None)
            if connection is not None:
                connection.disconnect()
