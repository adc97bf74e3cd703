"""The HTTP client of all commands: asks a running gateway."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlsplit

from ..errors import KG2ATError
from ..system.loopback import is_loopback
from .certificates import explained

ANSWER_LIMIT = 10.0  # seconds; the gateway answers from memory
STOP_LIMIT = 120.0  # seconds; a kernel that does not end when asked is terminated, then killed


class GatewayUnreachable(KG2ATError):
    """The gateway does not answer."""


class GatewayRefusal(KG2ATError):
    """The gateway answers with an error; `said` is what it says of it."""

    def __init__(self, url: str, code: int, said: str) -> None:
        super().__init__(f"The gateway at {url} answered {code}: {said}")
        self.said = said


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an error: the token is for one address."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class GatewayClient:
    """Asks one gateway. Raises KG2ATError with a sentence for whatever goes wrong. Blocking."""

    def __init__(self, url: str, token: str, context: ssl.SSLContext | None = None) -> None:
        """`url`: without a slash at its end. `context`: for https; None: Python's default."""
        self.url, self.token = url, token
        direct = [urllib.request.ProxyHandler({})] if is_loopback(urlsplit(url).hostname or "") else []
        secure = [urllib.request.HTTPSHandler(context=context)] if context else []
        self._opener = urllib.request.build_opener(_NoRedirect, *direct, *secure)

    def status(self) -> dict[str, Any]:
        """Return what `/kg2at/status` says."""
        status, answer = self.ask("GET", "/kg2at/status")
        if status == 404:
            raise KG2ATError(f"What answers at {self.url} is no gateway with kg2at: it has no /kg2at/status.")
        if not isinstance(answer, dict) or not isinstance(answer.get("kernels"), list):
            raise KG2ATError(f"What answers at {self.url} is no gateway with kg2at: its status can't be read.")
        return answer

    def stop(self, kernel_id: str) -> bool:
        """End a kernel. Return False when the gateway knows none of this id."""
        return self.ask("DELETE", f"/api/kernels/{quote(kernel_id, safe='')}", STOP_LIMIT)[0] != 404

    def ask(self, method: str, path: str, limit: float = ANSWER_LIMIT, body: object = None) -> tuple[int, Any]:
        """Return the status and the JSON (None: there is none) of an answer that is good, or 404.

        `limit`: seconds that the gateway may be silent. Raises KG2ATError for an error, GatewayUnreachable for silence.
        """
        headers = {"Authorization": f"token {self.token}"} if self.token else {}
        data = None if body is None else json.dumps(body).encode()
        try:
            request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310
            with self._opener.open(request, timeout=limit) as answer:
                return answer.status, _json(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return self._failed(error)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = self._reason(error, limit)
            raise GatewayUnreachable(f"The gateway at {self.url} does not answer: {reason}") from error

    def _reason(self, error: Exception, limit: float) -> str:
        """Return what went wrong, in words: an error of the system has some, others their text or their name."""
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, TimeoutError):
            return f"no answer within {limit:g} s"
        said = isinstance(cause, Exception) and explained(cause, self.url.startswith("https:"))
        return str(said or getattr(cause, "strerror", None) or cause or type(cause).__name__)

    def _failed(self, error: urllib.error.HTTPError) -> tuple[int, Any]:
        """Return a 404, raise KG2ATError for any other error."""
        if error.code == 401:
            said = "refuses the token" if self.token else "wants a token"
            raise KG2ATError(f"The gateway at {self.url} {said}; give yours by --token or KG_AUTH_TOKEN.")
        try:
            body = _json(error.read())
        except (OSError, http.client.HTTPException):
            body = None
        if error.code == 404:
            return error.code, body
        message = body.get("message") if isinstance(body, dict) else None
        raise GatewayRefusal(self.url, error.code, str(message or error.reason))


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
