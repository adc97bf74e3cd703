"""`/kg2at/status`: which kernels hold cores and which requests wait for them, as JSON from memory."""

from __future__ import annotations

import json

from jupyter_client.jsonutil import json_default
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from kernel_gateway.mixins import CORSMixin
from tornado import web

from ..kernels.status import Status
from .handler import GatewayHandler


class StatusHandler(GatewayHandler, CORSMixin, APIHandler):  # type: ignore[misc]
    """Asks neither master nor kernels, so that it answers while the master is down."""

    auth_resource = "kernels"

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """200 with what the request's user sees; see Status. With `?jobs=true` it is a look at the kernels' jobs."""
        watches_jobs = self.get_query_argument("jobs", "") == "true"
        status = Status(self.kernel_manager, self.gateway_user, watches_jobs)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(status.rows(), default=json_default))


routes = [("/kg2at/status", StatusHandler)]
