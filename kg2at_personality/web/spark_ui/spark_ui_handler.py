"""`/kg2at/kernels/ID/spark/`: the web UI of a kernel's Spark driver."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import ensure_async, url_path_join
from tornado import web
from tornado.httpclient import HTTPResponse

from ...errors import ReadOnly, SparkUiSilent
from ...spark.driver_ui import DriverUi, UiRequest
from ...state.ledger import KERNEL_ID_PATTERN
from ..page.html_handler import HTMLHandler
from . import driver_answer
from .driver_request import comes_from, driver_headers, driver_path, is_kill

#: Bytes of a page that are rewritten at once, which takes a millisecond; a larger one is, in a thread.
SMALL = 256 * 1024
SHOWN_ONLY = "Spark's UI is only shown here: all that can be sent to it is what ends a job or a stage."
NOT_OWN = "This is another user's kernel: its Spark UI can be looked at, but only that user can end jobs and stages."
NOT_FROM_HERE = (
    "A job or a stage is ended by its link in the kernel's own Spark UI, or by a request with the token in its header."
)


class SparkUiHandler(HTMLHandler):
    """Shows what the driver's web UI answers, to who sees the kernel; its owner may end jobs and stages by it."""

    auth_resource = "kernels"

    @web.authenticated
    @authorized
    async def get(self, kernel_id: str, path: str) -> None:
        """The driver's answer. 404 without an application or a UI, 503 while it does not answer.

        403 for what ends a job, from any other page than the UI's own, and for another's kernel.
        """
        await self._pass_on(kernel_id)

    #: tornado leaves out the body.
    head = get

    @web.authenticated
    @authorized
    async def post(self, kernel_id: str, path: str) -> None:
        """The driver's answer to what ends a job or a stage; 403 for all else."""
        if not is_kill(self._driver_path(kernel_id)):
            raise ReadOnly(SHOWN_ONLY)
        await self._pass_on(kernel_id)

    def _driver_path(self, kernel_id: str) -> str:
        """Return the path as the client has written it; a method's argument has been decoded."""
        return self.request.path.partition(f"/{kernel_id}/spark")[2]

    async def _pass_on(self, kernel_id: str) -> None:
        kernel = self.kernel_manager.get_kernel(kernel_id)
        root = url_path_join(self.base_url, "kg2at", "kernels", kernel_id, "spark")
        path = self._driver_path(kernel_id)
        asked = driver_path(path, self.request.query)
        if asked is None:
            raise web.HTTPError(404, "Spark's UI has no such page.")
        if not path:
            self.redirect(f"{root}/", status=302)
            return
        is_own = kernel.owner == self.gateway_user.name
        if is_kill(path):
            await self._check_kill(root, is_own)
        request = UiRequest(
            asked,
            method=str(self.request.method),
            headers=driver_headers(self.request.headers, path, root),
            body=self.request.body if self.request.method == "POST" else None,
            timeout=self.kernel_manager.timing.ui_limit,
        )
        ui, response = await self.while_connected(self.kernel_manager.spark_uis.fetch(kernel, request), _nothing)
        await self._answer(ui, response, root, is_own)

    async def _check_kill(self, root: str, is_own: bool) -> None:
        """Raise ReadOnly unless the kernel's owner ends something by its own UI; 403 where the authorizer refuses."""
        if not is_own:
            raise ReadOnly(NOT_OWN)
        has_token = "Authorization" in self.request.headers and not self.is_by_cookie
        if not has_token and not comes_from(self.request, root):
            raise ReadOnly(NOT_FROM_HERE)
        may = self.authorizer.is_authorized(self, self.current_user, "write", self.auth_resource)
        if not await ensure_async(may):
            raise web.HTTPError(403, "User is not authorized to write on resource: kernels.")

    async def _answer(self, ui: DriverUi, response: HTTPResponse, root: str, is_own: bool) -> None:
        if response.code < 200:
            raise SparkUiSilent(f"The web UI of the kernel's Spark driver answers {response.code}.")
        self.set_status(response.code)
        for name, value in driver_answer.answer_headers(response, is_own).items():
            self.set_header(name, value)
        if "Location" in response.headers:
            self.set_header("Location", driver_answer.location(response.headers["Location"], root, ui.app_id))
        if self.request.method == "HEAD" and response.headers.get("Content-Length", "").isdecimal():
            self.set_header("Content-Length", response.headers["Content-Length"])
        # An answer that has no body, as 204, may not be given an empty one.
        self.finish(await _body(response, root, is_own) or None)


async def _body(response: HTTPResponse, root: str, is_own: bool) -> bytes:
    """Return the body of the answer to the client."""
    body: bytes = response.body or b""
    if not driver_answer.is_page(response):
        return body
    if len(body) <= SMALL:
        return driver_answer.page(body, root, is_own)
    return await asyncio.to_thread(driver_answer.page, body, root, is_own)


async def _nothing(answer: Any) -> None:
    """Called with an answer that nobody waits for any more."""


routes = [(rf"/kg2at/kernels/(?P<kernel_id>{KERNEL_ID_PATTERN.pattern})/spark(?P<path>/.*)?", SparkUiHandler)]
