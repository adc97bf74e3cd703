"""`/api/sessions`: a notebook and its kernel in one request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import url_path_join
from kernel_gateway.services.sessions import handlers as stock
from tornado import web

from ..kernels.sessions import Begun
from .handler import GatewayHandler, object_field, text_field


class SessionRootHandler(GatewayHandler, stock.SessionRootHandler):  # type: ignore[misc]
    """Starts and lists sessions."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """201 with the session of `path`, begun when there is none: with the kernel of `kernel.id`, else a new one.

        404 when no kernel has that id. Kernels' errors pass through as they are.
        """
        session = self.session_manager.get_or_create(*self._wanted())
        model, _ = await self.while_connected(session, self._undo)
        self.set_header("Location", url_path_join(self.base_url, "api", "sessions", model["id"]))
        self.set_status(201)
        self.finish(json.dumps(model, default=json_default))

    async def _undo(self, session: tuple[dict[str, Any], Begun]) -> None:
        model, begun = session
        if begun is Begun.WITH_KERNEL:
            await self.session_manager.delete_session(model["id"])
        elif begun is Begun.ATTACHED:
            self.session_manager.detach(model["id"])

    def _wanted(self) -> tuple[str, str | None, str | None]:
        """The path, the kernel's name (None: the default) and id (None: a new one) that the body asks for."""
        body: dict[str, Any] | None = self.get_json_body()
        if body is None:
            raise web.HTTPError(400, "No JSON data provided")
        notebook = object_field(body, "notebook")
        if notebook is not None:
            # The sessions API before 5.0, which nb2kg's age still speaks.
            body["path"] = text_field(notebook, "name") or text_field(notebook, "path")
            body.setdefault("type", "notebook")
        _required(body, "type")
        kernel = object_field(body, "kernel") or {}
        return _required(body, "path"), text_field(kernel, "name"), text_field(kernel, "id") or None


StockSessionHandler = dict(stock.default_handlers)[r"/api/sessions/(?P<session_id>\w+-\w+-\w+-\w+-\w+)"]


class SessionHandler(GatewayHandler, StockSessionHandler):  # type: ignore[misc, valid-type]
    """Shows, changes and ends one session. The stock handlers await what Kernel Gateway's sessions are not."""

    @web.authenticated
    @authorized
    async def get(self, session_id: str) -> None:
        """200 with its model."""
        self.finish(json.dumps(self._session(session_id), default=json_default))

    @web.authenticated
    @authorized
    async def patch(self, session_id: str) -> None:
        """Rename it (`path`), or give it another kernel: one that runs (`kernel.id`), or a new one (`kernel.name`)."""
        before = self._session(session_id)
        changes = self._changes()
        kernel_name = changes.pop("kernel_name", None)
        if kernel_name is not None:
            start = self.kernel_manager.start_kernel(kernel_name=kernel_name)
            changes["kernel_id"] = await self.while_connected(start, self.kernel_manager.shutdown_kernel)
        self.session_manager.update_session(session_id, **changes)
        after = self._session(session_id)
        if after["kernel"]["id"] != before["kernel"]["id"]:
            await self.kernel_manager.shutdown_kernel(before["kernel"]["id"])
        self.finish(json.dumps(after, default=json_default))

    def _session(self, session_id: str) -> dict[str, Any]:
        with _known(session_id):
            return dict(self.session_manager.get_session(session_id=session_id))

    def _changes(self) -> dict[str, str]:
        body: dict[str, Any] | None = self.get_json_body()
        if body is None:
            raise web.HTTPError(400, "No JSON data provided")
        notebook, kernel = object_field(body, "notebook") or {}, object_field(body, "kernel") or {}
        kernel_id, kernel_name = text_field(kernel, "id"), text_field(kernel, "name")
        if kernel_id is not None and kernel_id not in self.kernel_manager:
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
        """204, also when it has ended before; 404 for a never-known id."""
        with _known(session_id):
            await self.session_manager.delete_session(session_id)
        self.set_status(204)
        self.finish()


@contextmanager
def _known(session_id: str) -> Iterator[None]:
    """404 for an id that is no session's."""
    try:
        yield
    except KeyError as error:
        raise web.HTTPError(404, f"Session not found: {session_id}") from error


def _required(body: dict[str, Any], name: str) -> str:
    value = text_field(body, name)
    if value is None:
        raise web.HTTPError(400, f"Missing field in JSON data: {name}")
    return value
