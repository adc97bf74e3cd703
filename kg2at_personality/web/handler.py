"""What every route of kg2at does: check Host and token, bound the body, answer errors as JSON without a traceback."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine
from http.client import responses
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.prometheus.log_functions import prometheus_log_method
from tornado import web
from tornado.httputil import HTTPServerRequest

from ..errors import AccessNotGranted, KG2ATError
from ..kernels.manager import GatewayKernelManager
from ..kernels.outcomes import INTERNAL_ERROR
from ..kernels.readiness import Readiness
from ..kernels.sessions import GatewaySessionManager
from ..kernels.specs import SparkKernelSpecManager
from ..kernels.user import GatewayUser
from . import body, library_internals
from .channels.websocket_access import WebsocketAccess
from .identity import access, page_cookie
from .identity.page_cookie import PageSessions
from .identity.users import UserRules
from .kernel_metrics import KernelMetrics

T = TypeVar("T")
#: Status and reason of a request whose client has closed its connection (nginx' 499). Only the access log shows them.
CLIENT_CLOSED_REQUEST = 499, "Client closed request"


class Personality(Protocol):
    """What a handler needs of the personality, whose module imports the handlers."""

    #: The gateway's application (KernelGatewayApp).
    parent: Any
    log: logging.Logger
    user_rules: UserRules
    websocket_access: WebsocketAccess
    page_sessions: PageSessions
    readiness: Readiness
    kernel_metrics: KernelMetrics

    async def begin(self) -> None:
        """Wait until the kernels of an earlier gateway are taken over."""


class GatewayHandler(JupyterHandler):
    """Mixed in before each of Kernel Gateway's handlers. Its `gateway_user` is who has sent the request."""

    #: StaticFileHandler supports GET and HEAD alone, and would refuse a CORS preflight.
    SUPPORTED_METHODS = web.RequestHandler.SUPPORTED_METHODS
    #: False for what anybody may know, at any time: nobody is identified, and nobody waits for the gateway's begin.
    needs_user = True

    gateway_user: GatewayUser
    #: Whether a browser's cookie stands for the request's token.
    is_by_cookie = False

    def __init__(self, application: web.Application, request: HTTPServerRequest, **kwargs: Any) -> None:
        self._work: asyncio.Future[Any] | None = None
        self._is_client_gone = False
        super().__init__(application, request, **kwargs)

    @property
    def personality(self) -> Personality:
        """The gateway's personality."""
        return cast(Personality, library_internals.gateway_setting(self, "personality"))

    @property
    def kernel_manager(self) -> GatewayKernelManager:
        """The gateway's kernels."""
        return cast(GatewayKernelManager, self.settings["kernel_manager"])

    @property
    def session_manager(self) -> GatewaySessionManager:
        """The gateway's sessions."""
        return cast(GatewaySessionManager, self.settings["session_manager"])

    @property
    def kernel_spec_manager(self) -> SparkKernelSpecManager:
        """The gateway's kernelspecs."""
        return cast(SparkKernelSpecManager, self.settings["kernel_spec_manager"])

    @property
    def authorizer(self) -> Authorizer:
        """What the administrator set as authorizer_class; Kernel Gateway's settings hold one without its provider."""
        return cast(Authorizer, self.personality.parent.authorizer)

    # Before a request is handled.

    async def prepare(self) -> None:  # type: ignore[override]
        """Check the request. Called by tornado before each one, also for websockets and CORS preflights.

        Raises 403 for a Host that a gateway without a token does not serve, 400 for arguments or an Origin that can't
        be read, 401 for nobody, 404 for a foreign origin, 413 for a body above `max_body_size`, 404 for what is
        another's. Waits until the kernels of an earlier gateway are taken over. Without `needs_user` there is no 401.
        """
        if self.needs_user:
            access.check_host(self, self.personality.parent.ip)
        # Jupyter Server reads both when it answers, also by an error, once it knows who is there.
        self._check_readable()
        self.is_by_cookie = page_cookie.heed(self, self.personality.page_sessions)
        user = await access.identify(self, GatewayHandler, self.needs_user)
        limit = library_internals.gateway_setting(self, "max_body_size")
        if limit and len(self.request.body) > limit:
            raise web.HTTPError(413, f"The body is larger than {limit} bytes (max_body_size).")
        if self.needs_user:
            await self.personality.begin()
        if user is not None:
            self.gateway_user = self.personality.user_rules.gateway_user(user)
            self.kernel_manager.audit.let_in(self.gateway_user.name, str(self.request.remote_ip))
            self._check_owner()

    # Cookies: a browser sends them for whatever page asks, and so they are nobody's sign; but see page_cookie.py.

    def get_cookie(self, name: str, default: Any = None) -> Any:
        """Return `default`, as if the request had no cookie. Called by Jupyter Server's own ways to know a user."""
        return default

    def set_cookie(self, name: str, value: str | bytes, *args: Any, **kwargs: Any) -> None:
        """Send none. Called by tornado for cookies of all kinds, and to take one away."""

    # Who asks, and for what.

    def get_login_url(self) -> str:
        """Raise 401. Called where nobody is known, for the page to log in at: the gateway has none."""
        raise web.HTTPError(401, access.UNAUTHORIZED)

    def _check_owner(self) -> None:
        """Raise 404 where the path names a kernel or a session of another user, as for one that never was."""
        kernel_id, session_id = self.path_kwargs.get("kernel_id"), self.path_kwargs.get("session_id")
        if kernel_id is not None and not self.sees_kernel(kernel_id):
            raise web.HTTPError(404, f"Kernel does not exist: {kernel_id}")
        if session_id is not None and not self.session_manager.exists_for(self.gateway_user, session_id):
            raise web.HTTPError(404, f"Session not found: {session_id}")

    def sees_kernel(self, kernel_id: str) -> bool:
        """Return whether there is such a kernel for the request's user; True for an administrator."""
        return self.gateway_user.sees(self.kernel_manager.owner_of(kernel_id))

    def _check_readable(self) -> None:
        """Raise 400 for arguments that are no UTF-8 and an Origin that is no URL, which the libraries answer by 500."""
        for name in self.request.arguments:
            self.get_arguments(name)
        try:
            urlsplit(self.request.headers.get("Origin", ""))
        except ValueError as error:
            raise web.HTTPError(400, f"The header Origin is no URL: {error}") from error

    @allow_unauthenticated
    def options(self, *args: str, **kwargs: str) -> None:
        """Answer a browser's CORS preflight, which can't carry a token."""
        self.finish()

    def check_listing(self) -> None:
        """Raise 403 where the gateway does not list what runs (list_kernels)."""
        if not library_internals.gateway_setting(self, "list_kernels"):
            raise web.HTTPError(403, "This gateway lists neither kernels nor sessions (list_kernels).")

    def get_json_body(self) -> dict[str, Any] | None:
        """Return the body as an object; None for an empty one. Raises 400 for anything else."""
        return body.json_object(self.request.body)

    # A client that closes its connection.

    async def while_connected(self, work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[Any]]) -> T:
        """Return the result of `work`, which is cancelled when the client closes its connection.

        When the client is gone by the time that there is a result, `undo` is called with it. Ends the request then.
        """
        self._work = asyncio.ensure_future(work)
        try:
            result: T = await self._work
        except asyncio.CancelledError:
            if not self._is_client_gone:
                raise
            self.set_status(*CLIENT_CLOSED_REQUEST)
            raise web.Finish from None
        if self._is_client_gone:
            await undo(result)
            self.set_status(*CLIENT_CLOSED_REQUEST)
            raise web.Finish
        return result

    def on_connection_close(self) -> None:
        """Cancel the work for the request. Called by tornado when the client is gone before it has its answer."""
        self._is_client_gone = True
        if self._work is not None:
            self._work.cancel()
        super().on_connection_close()

    def on_finish(self) -> None:
        """Measure the request, as Jupyter Server does (its `log_request`). Called by tornado after each answer."""
        if self.request.method in self.SUPPORTED_METHODS:  # a client may send any, and each would be a label
            prometheus_log_method(self)
        super().on_finish()

    # Errors.

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer an exception. Called by tornado with 500 for errors that it does not know, as those of kg2at."""
        error = kwargs.get("exc_info", (None, None))[1]
        status = error.status if isinstance(error, KG2ATError) else status_code
        # Others of kg2at's own with these are no word about who may come in.
        if status in (401, 403) and isinstance(error, (web.HTTPError, AccessNotGranted)):
            request = self.request
            self.kernel_manager.audit.refused(str(request.method), request.path, str(request.remote_ip), status)
        super().send_error(status, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer `{"reason": ..., "message": ...}`, which Jupyter's clients show to their users."""
        error = kwargs.get("exc_info", (None, None))[1]
        reason, message = _words(status_code, error)
        if isinstance(self, JupyterHandler):
            # tornado's send_error clears the headers; without CORS headers a browser hides the answer from its page.
            self.set_cors_headers()
        retry_after = getattr(error, "retry_after", None)
        if retry_after is not None:
            self.set_header("Retry-After", str(math.ceil(retry_after)))
        if status_code == 405:
            self.set_header("Allow", ", ".join(self._methods()))
        self.set_status(status_code, reason)
        self.finish_error(reason, message)

    def finish_error(self, reason: str, message: str) -> None:
        """Write the body of an error's answer."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"reason": reason, "message": message}))

    def _methods(self) -> list[str]:
        """Return the methods that the route has, and does not leave to tornado, which answers 405."""
        lacking = library_internals.LACKING_METHOD
        return [name for name in self.SUPPORTED_METHODS if getattr(type(self), name.lower()) is not lacking]

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log an error of kg2at's in one line, any other as tornado does. Called by tornado."""
        if isinstance(value, KG2ATError):
            self.personality.log.warning("%s %s: %d %s", self.request.method, self.request.path, value.status, value)
        else:
            super().log_exception(typ, value, tb)


def _words(status_code: int, error: BaseException | None) -> tuple[str, str]:
    """Return the reason and the message of an error's answer."""
    reason = responses.get(status_code, "Unknown error")
    if isinstance(error, KG2ATError):
        return error.reason, str(error)
    if isinstance(error, web.HTTPError):
        reason = error.reason or reason
        return reason, error.log_message % error.args if error.log_message else reason
    return reason, INTERNAL_ERROR
