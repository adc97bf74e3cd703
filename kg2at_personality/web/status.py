"""`/kg2at/status`: which kernels hold cores and which requests wait for them, as JSON from memory."""

from __future__ import annotations

import json
from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from kernel_gateway.mixins import CORSMixin
from tornado import web

from ..kernels.kernel import GatewayKernel
from ..plural import counted, span
from .handler import GatewayHandler


class StatusHandler(GatewayHandler, CORSMixin, APIHandler):  # type: ignore[misc]
    """Asks neither master nor kernels, so that it answers while the master is down."""

    auth_resource = "kernels"

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """200 with `cluster`, `queue`, `kernels`; `clusters` has the parts of each, where kernels use several.

        A user who is no administrator sees their own kernels, places in the queue and zombies alone.
        """
        manager = self.kernel_manager
        clusters: list[dict[str, Any]] = manager.clusters.status()
        for each in clusters:
            each["queue"] = self._seen(each["queue"])
        leases = {kernel_id: lease for each in clusters for kernel_id, lease in each.pop("leases").items()}
        queue = [row for each in clusters for row in each["queue"]]
        waits = {row["kernel_id"]: row for row in queue if row["app_id"]}
        kernels = [
            _kernel(manager.get_kernel(kernel_id), leases.get(kernel_id), waits.get(kernel_id))
            for kernel_id in manager.list_kernel_ids()
            if self.sees_kernel(kernel_id)
        ]
        body = {
            "cluster": clusters[0]["cluster"] if clusters else None,
            "queue": queue,
            "kernels": kernels,
            "zombies": self._seen(manager.zombies.status()),
            "warm": self._warm(),
            "clusters": clusters,
        }
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(body, default=json_default))

    def _seen(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of the kernels that exist for the request's user."""
        return [row for row in rows if self.sees_kernel(row["kernel_id"])]

    def _warm(self) -> dict[str, Any]:
        """Return what waits for users. The kernels are nobody's, and reasons may tell what others asked for.

        So administrators alone see both.
        """
        manager = self.kernel_manager
        warm = manager.warm_pool.status() | {"paused": manager.warm_refill.paused}
        return warm if self.gateway_user.is_admin else warm | {"kernels": [], "missed": {}}


def _kernel(kernel: GatewayKernel, lease: dict[str, Any] | None, wait: dict[str, Any] | None) -> dict[str, Any]:
    """Return a kernel's row, where it has a lease and where its application waits at the master also by their rows.

    `cores` are those that it holds or that are reserved for it, `cores_held` those that its application has now, and
    `given_back` those of `cores_admitted` that others may have until it needs them. `since` is its start, `idle_since`
    its last use, both in UTC.
    """
    return {
        "kernel_id": kernel.kernel_id,
        "name": kernel.kernel_name,
        "user": kernel.user,
        "cores": lease["cores"] if lease else 0,
        "cores_held": lease["granted"] if lease else 0,
        "cores_admitted": lease["cores"] if lease else 0,
        "given_back": lease["given_back"] if lease else 0,
        "state": _state(kernel, lease, wait),
        "app_id": lease["app_id"] if lease else None,
        "pid": kernel.pid,
        "since": kernel.since,
        "idle_since": kernel.idle_since,
        "warm": not kernel.warm_reason,
        "warm_reason": kernel.warm_reason,
    }


def _state(kernel: GatewayKernel, lease: dict[str, Any] | None, wait: dict[str, Any] | None) -> str:
    """Return what the kernel does, in words."""
    if kernel.is_dead:
        return f"dead: {kernel.reason}"
    parts = [str(kernel.execution_state)]
    if wait:
        parts.append(f"waiting for {counted(wait['cores'], 'core')} for {span(wait['waited_s'])}")
    elif lease:
        parts.append(lease["state"])
    if lease and lease["given_back"]:
        parts.append(f"{counted(lease['given_back'], 'core')} given back")
    return ", ".join(parts)


routes = [("/kg2at/status", StatusHandler)]
