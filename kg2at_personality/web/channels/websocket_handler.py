"""`/api/kernels/ID/channels`: the request for a websocket. What goes through it is the business of `connection`."""

from __future__ import annotations

from typing import Any

from kernel_gateway.services.kernels import handlers
from tornado import web

from ...errors import KG2ATError
from ..handler import GatewayHandler
from ..identity import access
from ..library_internals import gateway_setting
from ..stock_handlers import stock_handler
from .connection import ChannelsConnection

#: Most bytes of a message that tornado reads (IOStream.max_buffer_size, 100 MiB), with room for the frame around it.
LARGEST = 96 * 1024 * 1024
#: A message of up to so many times `max_message_size` is read, and refused with a sentence; a larger one is not read.
READ_FACTOR = 4
#: A websocket's close code for who may not use it: "policy violation" (RFC 6455), and what its client is told.
POLICY_VIOLATION, REFUSED = 1008, "Your token is no longer valid for this kernel."

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

    async def open(self, *args: str, **kwargs: str) -> None:
        """Called by tornado when the websocket is open."""
        self.personality.websocket_access.join(self)
        await super().open(*args, **kwargs)

    def on_close(self) -> None:
        """Called by tornado when it is closed."""
        self.personality.websocket_access.leave(self)
        super().on_close()

    async def is_still_allowed(self) -> bool:
        """Return whether the token with which it was opened still is that of a user for whom there is the kernel.

        Raises what the identity provider raises while it can't tell.
        """
        try:
            user = await access.user_of(self)
        except (KG2ATError, web.HTTPError) as error:
            if (error.status if isinstance(error, KG2ATError) else error.status_code) in (401, 403):
                return False
            raise
        if user is None:
            return False
        self.gateway_user = self.personality.user_rules.gateway_user(user)
        return self.sees_kernel(self.kernel_id)

    def refuse(self) -> None:
        """Close the websocket; a client that does not close its own side is heard no more."""
        self.log.info("Closing a websocket to kernel %s, whose user is let in no more", self.kernel_id)
        self.close(POLICY_VIOLATION, REFUSED)
        connection: Any = self.connection
        connection.disconnect()
