"""`/kg2at/live` and `/kg2at/ready`: for those who watch over the gateway, such as Kubernetes, a load balancer, systemd.

They tell nothing that needs a token, and so nobody has to send one.
"""

from __future__ import annotations

import json

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from kernel_gateway.mixins import CORSMixin

from .handler import GatewayHandler

#: Seconds after which to ask again.
RETRY_AFTER = 5


class HealthHandler(GatewayHandler, CORSMixin, JupyterHandler):  # type: ignore[misc]
    """Answers anybody, at any time."""

    needs_user = False
    #: What the answer says when all is well.
    status: str

    @allow_unauthenticated
    async def get(self) -> None:
        """200, or 503 with what is wrong."""
        problem = await self.problem()
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        if not problem:
            self.finish(json.dumps({"status": self.status}))
            return
        # Not raised: the log would have a line for each probe.
        self.set_status(503)
        self.set_header("Retry-After", str(RETRY_AFTER))
        self.finish(json.dumps({"reason": "Not ready", "message": problem}))

    #: tornado leaves out the body.
    head = get

    async def problem(self) -> str:
        """Return what is wrong, in a sentence without a secret; "" for nothing."""
        return ""


class LiveHandler(HealthHandler):
    """200 as long as the gateway's loop turns."""

    status = "live"


class ReadyHandler(HealthHandler):
    """Tells whether kernels can start."""

    status = "ready"

    async def problem(self) -> str:
        return await self.personality.readiness.problem()


routes = [("/kg2at/live", LiveHandler), ("/kg2at/ready", ReadyHandler)]
