"""`/api/sessions`: a notebook and its kernel in one request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import url_path_join
from kernel_gateway.services.sessions import handlers
from tornado import web

from ..kernels.sessions import Begun
from .body import object_field, required_body, required_text, text_field
from .handler import GatewayHandler
from .stock_handlers import stock_handler

StockRootHandler = stock_handler(handlers, "SessionRootHandler")
StockSessionHandler = stock_handler(handlers, "SessionHandler")


class SessionRootHandler(GatewayHandler, StockRootHandler):  # type: ignore[misc, valid-type]
    """Starts and lists sessions."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """201 with the session of `path`, created when there is none: with the kernel `kernel.id`, else a new one.

        404 when no kernel has that id. Errors of a kernel's start are answered as for `/api/kernels`.
        """
        session = self.session_manager.get_or_create(*self._wanted(), user=self.gateway_user)
        model, _ = await self.while_connected(session, self._undo)
        self.set_header("Location", url_path_join(self.base_url, "api", "sessions", model["id"]))
        self.set_status(201)
        self.finish(json.dumps(model, default=json_default))

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """200 with the sessions of the user, of an administrator with all; 403 where the gateway lists none."""
        self.check_listing()
        self.finish(json.dumps(self.session_manager.list_sessions(self.gateway_user), default=json_default))

    async def _undo(self, session: tuple[dict[str, Any], Begun]) -> None:
        """End what was created for a client that is gone."""
        model, begun = session
        if begun is Begun.WITH_KERNEL:
            await self.session_manager.delete_session(model["id"])
        elif begun is Begun.ATTACHED:
            self.session_manager.detach(model["id"])

    def _wanted(self) -> tuple[str, str | None, str | None]:
        """Return the path, the kernel's name (None: the default) and id (None: a new one) that the body asks for."""
        body = required_body(self.get_json_body())
        notebook = object_field(body, "notebook")
        if notebook is not None:
            # The sessions API before notebook 5.0, which nb2kg and other clients of its time use.
            body["path"] = text_field(notebook, "name") or text_field(notebook, "path")
            body.setdefault("type", "notebook")
        required_text(body, "type")
        kernel = object_field(body, "kernel") or {}
        return required_text(body, "path"), text_field(kernel, "name"), text_field(kernel, "id") or None


class SessionHandler(GatewayHandler, StockSessionHandler):  # type: ignore[misc, valid-type]
    """Shows, changes and ends one session.

    Jupyter Server's handlers await its session manager, whose methods in Kernel Gateway are no coroutines.
    """

    @web.authenticated
    @authorized
    async def get(self, session_id: str) -> None:
        """200 with its model; 404 for an unknown id."""
        self.finish(json.dumps(self._session(session_id), default=json_default))

    @web.authenticated
    @authorized
    async def patch(self, session_id: str) -> None:
        """Rename it (`path`), or give it another kernel: one that runs (`kernel.id`), or a new one (`kernel.name`)."""
        before = self._session(session_id)
        changes = self._changes()
        kernel_name = changes.pop("kernel_name", None)
        if kernel_name is not None:
            start = self.kernel_manager.start_kernel(kernel_name=kernel_name, user=self.gateway_user)
            changes["kernel_id"] = await self.while_connected(start, self.kernel_manager.shutdown_kernel)
        self.session_manager.update_session(session_id, **changes)
        after = self._session(session_id)
        if after["kernel"]["id"] != before["kernel"]["id"]:
            await self.kernel_manager.shutdown_kernel(before["kernel"]["id"], by=self.gateway_user)
        self.finish(json.dumps(after, default=json_default))

    def _session(self, session_id: str) -> dict[str, Any]:
        """Return the session's model. Raises 404 for an unknown id."""
        with _not_found(session_id):
            return dict(self.session_manager.get_session(session_id=session_id))

    def _changes(self) -> dict[str, str]:
        """Return what the body changes: `path`, `kernel_id`, and `kernel_name` for a new kernel."""
        body = required_body(self.get_json_body())
        notebook, kernel = object_field(body, "notebook") or {}, object_field(body, "kernel") or {}
        kernel_id, kernel_name = text_field(kernel, "id"), text_field(kernel, "name")
        if kernel_id is not None and not (kernel_id in self.kernel_manager and self.sees_kernel(kernel_id)):
            raise web.HTTPError(400, f"No such kernel: {kernel_id}")
        changes = {
            "path": text_field(notebook, "path") or text_field(body, "path"),
            "kernel_id": kernel_id,
            "kernel_name": kernel_name if kernel_id is None else None,
        }
        return {name: value for name, value in changes.items() if value is not None}

    @web.authenticated
    @authorized
    async def delete(self, session_id: str) -> None:
        """204, also for a session that has ended before; 404 for an unknown id."""
        with _not_found(session_id):
            await self.session_manager.delete_session(session_id, self.gateway_user)
        self.set_status(204)
        self.finish()


@contextmanager
def _not_found(session_id: str) -> Iterator[None]:
    """Raise 404 for the KeyError of an id that is no session's."""
    try:
        yield
    except KeyError as error:
        raise web.HTTPError(404, f"Session not found: {session_id}") from error
