"""What every route of kg2at does: check the token, take a sane body, answer errors as JSON without a traceback."""

from __future__ import annotations

import asyncio
import hmac
import json
import math
from collections.abc import Awaitable, Callable, Coroutine
from http.client import responses
from typing import Any, TypeVar
from urllib.parse import urlsplit

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from ..errors import KG2ATError
from . import host_header

T = TypeVar("T")
#: What the access log says of a request that nobody waits for (nginx' status).
HUNG_UP = 499, "Client closed request"
SCHEME = "token "
OWN_FAULT = "The gateway ran into an error of its own. Its log says more; please tell the administrator."


class GatewayHandler(web.RequestHandler):
    """Mixed in before each of Kernel Gateway's handlers."""

    #: Those of files know GET and HEAD alone, and would refuse CORS preflight.
    SUPPORTED_METHODS = web.RequestHandler.SUPPORTED_METHODS

    async def prepare(self) -> None:
        """Called by tornado before each request, websockets and preflight too.

        403 for a Host that an open gateway does not serve, 401 without the token, 400 for what nobody can read, 413
        for a body above `max_body_size`. Nobody is served before the kernels of an earlier gateway are known.
        """
        self._check_host()
        if self.request.method != "OPTIONS" and not self._has_token():
            raise web.HTTPError(401, "The token is missing or wrong: send it as 'Authorization: token …'.")
        self._check_readable()
        limit = self.settings["kg_max_body_size"]
        if limit and len(self.request.body) > limit:
            raise web.HTTPError(413, f"The body is larger than {limit} bytes (max_body_size).")
        await self.settings["kg_personality"].begin()
        prepared = super().prepare()
        if prepared is not None:
            await prepared

    def _check_host(self) -> None:
        """Raise 403 when a web page of another name may ask: see `hosts`. A token is what no such page has."""
        settings, host = self.settings, self.request.host
        if settings.get("kg_auth_token") or settings["kg_allow_remote_access"]:
            return
        names = [*settings["kg_local_hostnames"], settings["kg_personality"].parent.ip]
        if not host_header.is_local(host, names, self._local_address()):
            raise web.HTTPError(
                403,
                f"This gateway has no token, and so serves no requests to the host {host!r}. Set a token, or add that "
                "name to its setting local_hostnames.",
            )

    def _local_address(self) -> str | None:
        """This machine's address at which the request arrived; None when its connection is gone."""
        connection: Any = self.request.connection
        try:
            return str(connection.stream.socket.getsockname()[0])
        except (OSError, AttributeError):
            return None

    def _check_readable(self) -> None:
        """Raise 400 for arguments that are no UTF-8, and an Origin that is no URL: the libraries can't answer them."""
        for name in self.request.arguments:
            self.get_arguments(name)
        try:
            urlsplit(self.request.headers.get("Origin", ""))
        except ValueError as error:
            raise web.HTTPError(400, f"The header Origin is no URL: {error}") from error

    def _has_token(self) -> bool:
        """Whether the request carries the gateway's token, compared in constant time; True when there is none."""
        expected = self.settings.get("kg_auth_token")
        if not expected:
            return True
        given = self.get_query_argument("token", None)
        if given is None:
            header = self.request.headers.get("Authorization", "")
            given = header[len(SCHEME) :] if header.startswith(SCHEME) else ""
        return hmac.compare_digest(given.encode(), expected.encode())

    @allow_unauthenticated
    def options(self, *args: str, **kwargs: str) -> None:
        """Answer a browser's CORS preflight, which can't carry a token."""
        self.finish()

    def get_json_body(self) -> dict[str, Any] | None:
        """The body as an object; None for an empty one. Raises 400 for anything else."""
        if not self.request.body.strip():
            return None
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:
            raise web.HTTPError(400, f"The body is no JSON: {error}") from error
        if not isinstance(body, dict):
            raise web.HTTPError(400, f"The body must be a JSON object, not {kind(body)}.")
        return body

    # A client that hangs up.

    _work: asyncio.Future[Any] | None = None
    _is_gone = False

    async def while_connected(self, work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[Any]]) -> T:
        """Do `work` as long as the client listens; `undo` its result when it is gone by then.

        `work` is cancelled when the client hangs up. Ends the request then.
        """
        self._work = asyncio.ensure_future(work)
        try:
            result: T = await self._work
        except asyncio.CancelledError:
            if not self._is_gone:
                raise
            self.set_status(*HUNG_UP)
            raise web.Finish from None
        if self._is_gone:
            await undo(result)
            self.set_status(*HUNG_UP)
            raise web.Finish
        return result

    def on_connection_close(self) -> None:
        """Called by tornado when the client hangs up before it has its answer."""
        self._is_gone = True
        if self._work is not None:
            self._work.cancel()
        super().on_connection_close()

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Called by tornado for any exception: kg2at's own errors know their status."""
        error = kwargs.get("exc_info", (None, None))[1]
        super().send_error(error.status if isinstance(error, KG2ATError) else status_code, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer `{"reason": ..., "message": ...}`, which Jupyter's clients show to their users."""
        error = kwargs.get("exc_info", (None, None))[1]
        reason, message = responses.get(status_code, "Unknown error"), OWN_FAULT
        if isinstance(error, KG2ATError):
            reason, message = error.reason, str(error)
        elif isinstance(error, web.HTTPError):
            reason = error.reason or reason
            message = error.log_message % error.args if error.log_message else reason
        if isinstance(self, JupyterHandler):
            # tornado's send_error dropped them; without them a browser shows its page nothing.
            self.set_cors_headers()
        retry_after = getattr(error, "retry_after", None)
        if retry_after is not None:
            self.set_header("Retry-After", str(math.ceil(retry_after)))
        self.set_status(status_code, reason)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"reason": reason, "message": message}))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Called by tornado: errors made on purpose are a line, not a traceback."""
        if isinstance(value, KG2ATError):
            self.application.settings["kg_personality"].log.warning(
                "%s %s: %d %s", self.request.method, self.request.path, value.status, value
            )
        else:
            super().log_exception(typ, value, tb)


def kind(value: Any) -> str:
    """What JSON calls a value of this type, with its article."""
    names = {
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        dict: "an object",
    }
    return names.get(type(value), "null")


def text_field(body: dict[str, Any], name: str) -> str | None:
    """The string `body[name]`, None when it is missing or null. Raises 400 for another type or a NUL in it."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise web.HTTPError(400, f"{name!r} must be a string, not {kind(value)}.")
    if "\0" in value:
        raise web.HTTPError(400, f"{name!r} holds a NUL character.")
    return value


def object_field(body: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The object `body[name]`, None when it is missing or null. Raises 400 for another type."""
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise web.HTTPError(400, f"{name!r} must be an object, not {kind(value)}.")
    return value
