"""The cookie of the page, by which a browser stays signed in: heeded below `{base_url}kg2at/`, and nowhere else.

It stands for the token that the browser once sent, and the identity provider is asked about that token at each request
anew: whoever is let in no more is out, with a cookie or without one.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from jupyter_server.base.handlers import JupyterHandler
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from .provider import given_token

#: Seconds for which a browser stays signed in, and the most that are.
LIFETIME, MOST = 43_200.0, 1000
#: Methods that change nothing: a page of another origin that makes a browser send one does not get the answer.
SAFE = ("GET", "HEAD", "OPTIONS")


class _SignedIn(NamedTuple):
    token: str
    until: float


class PageSessions:
    """The browsers that have signed in, in memory: they sign in again at a new gateway."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all: dict[str, _SignedIn] = {}

    def begin(self, token: str) -> str:
        """Return the secret that stands for a token from now on. The oldest of too many is forgotten."""
        secret = secrets.token_urlsafe(32)
        self._all[secret] = _SignedIn(token, self._clock() + LIFETIME)
        if len(self._all) > MOST:
            del self._all[next(iter(self._all))]
        return secret

    def end(self, secret: str) -> None:
        """Forget a browser. Idempotent."""
        self._all.pop(secret, None)

    def token_of(self, secret: str) -> str:
        """Return what the secret stands for; "" for none, and for one whose time is over."""
        # A secret is 256 random bits: how long it takes to find one in a dict tells nothing of use.
        signed_in = self._all.get(secret)
        if signed_in is None or signed_in.until < self._clock():
            self.end(secret)
            return ""
        return signed_in.token


def heed(handler: JupyterHandler, sessions: PageSessions) -> bool:
    """Have a request to the page that has the cookie, and no token, be as one with the token that it stands for.

    No-op beyond the page's own paths, and for what another origin's page has its visitor's browser send. Returns
    whether the request is let in by the cookie, if it is at all.
    """
    request = handler.request
    if not request.path.startswith(path(handler)) or given_token(handler) or not _is_of_page(request):
        return False
    token = sessions.token_of(secret(handler))
    if token:
        request.headers["Authorization"] = f"token {token}"
    return bool(token)


def send(handler: JupyterHandler, value: str) -> None:
    """Have the answer set the cookie. A browser sends it back from pages of this host alone, and shows no script."""
    is_tls = handler.request.protocol == "https"
    # Past GatewayHandler, which sends no cookies: this is the only one.
    RequestHandler.set_cookie(
        handler, _name(handler), value, path=path(handler), httponly=True, samesite="Strict", secure=is_tls
    )


def secret(handler: JupyterHandler) -> str:
    """Return the value of the request's cookie; "" without one."""
    cookie = handler.request.cookies.get(_name(handler))
    return cookie.value if cookie is not None else ""


def path(handler: JupyterHandler) -> str:
    """Return the path below which the cookie is sent."""
    return f"{handler.base_url}kg2at/"


def _name(handler: JupyterHandler) -> str:
    """Return a name of this gateway's own: browsers send a cookie to all ports of a host."""
    return f"kg2at-{urlsplit(f'//{handler.request.host}').port or handler.request.protocol}"


def _is_of_page(request: HTTPServerRequest) -> bool:
    """Return whether no page of another origin can have had the request sent, or none can read its answer.

    Browsers tell the origin with each request that may change something (Fetch standard, "Origin" header).
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return request.method in SAFE
    return urlsplit(origin).netloc.lower() == request.host.lower()
