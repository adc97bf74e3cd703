"""Who may come in: the Host of a request, its token, and who has sent it."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable
from typing import Any

from jupyter_server.auth.identity import User
from jupyter_server.base.handlers import JupyterHandler
from kernel_gateway.mixins import TokenAuthorizationMixin
from tornado import web
from tornado.websocket import WebSocketHandler

from ...system.loopback import is_loopback
from .. import host_header, library_internals
from .provider import TokenIdentityProvider, given_token, names_users
from .users import check_name

UNAUTHORIZED = "The token is missing or wrong: send it as 'Authorization: token …'."


def check_host(handler: JupyterHandler, ip: str) -> None:
    """Raise 403 for a Host that `host_header` does not allow at a gateway that listens on `ip`.

    No-op if the gateway asks for tokens: a web page that reaches the gateway by DNS rebinding does not have any. An
    administrator's own provider may know its users by something else that a browser sends with every page's requests;
    beyond loopback the gateway takes it to be reached by any name, as Jupyter Server does (allow_remote_access).
    """

    def setting(name: str) -> Any:
        return library_internals.gateway_setting(handler, name)

    host = handler.request.host
    provider = handler.identity_provider
    asks_for_tokens = setting("auth_token") or (isinstance(provider, TokenIdentityProvider) and provider.names_users)
    is_public = names_users(provider) and not is_loopback(ip)
    if asks_for_tokens or is_public or setting("allow_remote_access"):
        return
    names = [*setting("local_hostnames"), ip]
    if not host_header.is_local(host, names, library_internals.local_address(handler.request)):
        raise web.HTTPError(
            403,
            f"This gateway asks for no token, and so serves no requests to the host {host!r}. Set a token, or add that "
            "name to its setting local_hostnames.",
        )


async def identify(handler: JupyterHandler, before: type, needs_user: bool) -> User | None:
    """Have Jupyter Server ask the identity provider, once, and check the request's origin. Return who is there.

    `before` is the class whose `prepare` calls this. Raises 401 where nobody is known, 404 for a foreign origin (403
    for a websocket's), and what the provider raises. Returns None, and the provider is not asked, for a CORS preflight,
    which can't carry a token, and for what anybody may know (`needs_user` False).
    """
    is_preflight = handler.request.method == "OPTIONS"
    user = await _user_of_request(handler, before) if needs_user and not is_preflight else None
    if user is None:
        handler.current_user = None
        handler.set_cors_headers()
    # Jupyter Server checks that of its API alone, and a websocket's when there is a connection for it.
    if not is_preflight and not handler.check_origin():
        raise web.HTTPError(403 if isinstance(handler, WebSocketHandler) else 404)
    return user


async def _user_of_request(handler: JupyterHandler, before: type) -> User:
    """Return whom the identity provider knows. Raises 401 for nobody, and what the provider raises."""
    if not _has_token(handler):
        raise web.HTTPError(401, UNAUTHORIZED)
    # Past Kernel Gateway's own check, which compares the token in no constant time, and knows no other.
    is_stock = isinstance(handler, TokenAuthorizationMixin)
    after: Any = super(TokenAuthorizationMixin if is_stock else before, handler)
    try:
        prepared = after.prepare()
        if prepared is not None:
            await prepared
    except web.HTTPError as error:
        if library_internals.is_nobody(handler):
            raise web.HTTPError(401, UNAUTHORIZED) from error
        raise
    user: User | None = handler.current_user
    if user is None:  # a route that Jupyter Server leaves open
        raise web.HTTPError(401, UNAUTHORIZED)
    check_name(user)
    return user


async def user_of(handler: JupyterHandler) -> User | None:
    """Return who has sent a request, as the identity provider says now; None if nobody is known any more.

    Raises what the provider raises. Called for websockets, whose request was long ago.
    """
    user = handler.identity_provider.get_user(handler)
    return await user if isinstance(user, Awaitable) else user


def _has_token(handler: JupyterHandler) -> bool:
    """Return whether the request carries the gateway's token, which an administrator's own provider does not look at.

    True when the gateway has none, or the provider looks at the token itself.
    """
    provider, expected = handler.identity_provider, library_internals.gateway_setting(handler, "auth_token")
    if not expected or isinstance(provider, TokenIdentityProvider):
        return True
    return hmac.compare_digest(given_token(handler).encode(), expected.encode())
