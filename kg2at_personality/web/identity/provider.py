"""The identity providers of kg2at's own: a request's token, and nothing else, says who is there."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable

from jupyter_server.auth.identity import IdentityProvider, User
from kernel_gateway.auth.identity import GatewayIdentityProvider
from tornado.web import RequestHandler

from .users import TokenHolder


class TokenIdentityProvider(GatewayIdentityProvider):  # type: ignore[misc]
    """Asks for a token at each request, and sets no cookie. `token` is the administrator's.

    Here everybody is the administrator: those who have the token, or all where the gateway has none.
    """

    #: Whether it tells its users apart.
    names_users = False
    #: Seconds between two looks whether the user of an open websocket is still let in; None: at its begin alone.
    recheck_interval: float | None = None

    @property
    def auth_enabled(self) -> bool:
        """Whether nobody is let in without a token."""
        return bool(self.token) or self.names_users

    def get_user(self, handler: RequestHandler) -> User | Awaitable[User | None] | None:
        """Return who is there, None if nobody is known. Called by Jupyter Server for each request.

        Raises KG2ATError while that can't be told.
        """
        token = given_token(handler)
        if self.token and hmac.compare_digest(token.encode(), self.token.encode()):
            return TokenHolder()
        return self.user_of(token)

    def user_of(self, token: str) -> User | Awaitable[User | None] | None:
        """Return whose token it is, "" for a request without one; None if nobody's. For derived classes."""
        return None if self.token else TokenHolder()

    def check(self) -> None:
        """Raise ConfigError where it can't tell who is there. Called once, before anybody is served."""


def given_token(handler: RequestHandler) -> str:
    """Return the token of a request: ?token=..., else Authorization: token ... (or bearer); "" without one."""
    given = handler.get_query_argument("token", None)
    if given is None:
        match = IdentityProvider.auth_header_pat.match(handler.request.headers.get("Authorization", ""))
        given = match[2] if match else ""
    return str(given)


def names_users(provider: IdentityProvider) -> bool:
    """Return whether a provider tells its users apart; an administrator's own does unless it inherits who is there."""
    if isinstance(provider, TokenIdentityProvider):
        return provider.names_users
    kind = type(provider)
    return kind.get_user is not IdentityProvider.get_user or kind.get_user_token is not IdentityProvider.get_user_token


def recheck_interval(provider: IdentityProvider) -> float | None:
    """Return the seconds between two looks whether users of open websockets are still let in; None: there are none.

    None for an administrator's own, whose `get_user` may not be for requests that were answered.
    """
    return provider.recheck_interval if isinstance(provider, TokenIdentityProvider) else None
