"""`/kg2at/`: the page, its sign-in, and its button that ends a kernel."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from ...kernels.status import Status
from ..identity import page_cookie
from ..identity.provider import given_token
from .html_handler import HTMLHandler
from .page_view import page_of


class PageHandler(HTMLHandler):
    """Shows the page, or with `?part=main` what of it changes."""

    auth_resource = "kernels"

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """200 with what the request's user sees. A token in the address becomes a cookie, and leaves the address."""
        if self.get_query_argument("token", ""):
            page_cookie.send(self, self.personality.page_sessions.begin(given_token(self)))
            self.redirect(page_cookie.path(self), status=303)
            return
        is_part = self.get_query_argument("part", "") == "main"
        problem = await self.personality.readiness.problem()
        self.kernel_manager.clusters.look()
        rows = Status(self.kernel_manager, self.gateway_user, watches_jobs=True).rows()
        page = page_of(rows, self.gateway_user) | {"problem": problem}
        self.show("main.html" if is_part else "page.html", page=page)


class SignInHandler(HTMLHandler):
    """Takes the token of the form."""

    auth_resource = "kernels"

    async def prepare(self) -> None:  # type: ignore[override]
        """Have the form's token be the request's. Called by tornado before the request is handled."""
        if self.request.method == "POST":
            self.request.headers["Authorization"] = f"token {self.get_body_argument('token', '').strip()}"
        await super().prepare()

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """303 to the page, with the cookie; 401 and the form again for what is nobody's token."""
        page_cookie.send(self, self.personality.page_sessions.begin(given_token(self)))
        self.redirect(page_cookie.path(self), status=303)


class SignOutHandler(HTMLHandler):
    """Ends what a sign-in began."""

    auth_resource = "kernels"

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """303 to the page, which asks for a token then."""
        self.personality.page_sessions.end(page_cookie.secret(self))
        self.redirect(page_cookie.path(self), status=303)


class ToPageHandler(HTMLHandler):
    """Leads from the address of the gateway itself to its page."""

    auth_resource = "kernels"

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """303 to the page, with the token that the address had."""
        token = self.get_query_argument("token", "")
        self.redirect(page_cookie.path(self) + (f"?{self.request.query}" if token else ""), status=303)


routes = [
    ("/", ToPageHandler),
    ("/kg2at", ToPageHandler),
    ("/kg2at/", PageHandler),
    ("/kg2at/sign-in", SignInHandler),
    ("/kg2at/sign-out", SignOutHandler),
]
