"""What all routes for browsers do: answer by HTML, their errors too."""

from __future__ import annotations

import secrets
from typing import Any

from jinja2 import Environment, PackageLoader

from ..handler import GatewayHandler
from ..identity import page_cookie
from ..identity.provider import given_token

TEMPLATES = Environment(
    loader=PackageLoader(__package__), autoescape=True, trim_blocks=True, lstrip_blocks=True, auto_reload=False
)
#: Scripts and styles are those of the page alone, which have its nonce; nothing is loaded from elsewhere.
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class HTMLHandler(GatewayHandler):
    """Answers a browser by HTML, its errors too."""

    def show(self, template: str, **values: Any) -> None:
        """Answer with a template, which gets `base` (the page's own path) and `nonce` besides."""
        nonce = secrets.token_urlsafe(16)
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": POLICY.format(nonce=nonce),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
        for name, value in headers.items():
            self.set_header(name, value)
        text = TEMPLATES.get_template(template).render(nonce=nonce, base=page_cookie.path(self), **values)
        self.finish(text)

    def finish_error(self, reason: str, message: str) -> None:
        """Answer a browser by a small page, all others by JSON. Called by GatewayHandler for each error.

        A browser that nobody knows is asked for a token.
        """
        if "text/html" not in self.request.headers.get("Accept", ""):
            super().finish_error(reason, message)
        elif self.get_status() == 401:
            self.show("sign_in.html", was_wrong=bool(given_token(self)))
        else:
            self.show("error.html", reason=reason, message=message)
