"""The gateway's status: which kernels hold cores and which requests wait for them, from memory."""

from __future__ import annotations

from typing import Any

from ..plural import counted, span
from .kernel import GatewayKernel
from .manager import GatewayKernelManager
from .spark_uis import report_of, ui_path
from .user import GatewayUser


class Status:
    """What `GET /kg2at/status` says to one user. It asks neither master nor kernels, and awaits nothing.

    A user who is no administrator sees their own kernels, places in the queue and zombies alone. `watches_jobs`: the
    jobs of the kernels in it are asked for from now on, so that the next one tells them.
    """

    def __init__(self, manager: GatewayKernelManager, user: GatewayUser, watches_jobs: bool = False) -> None:
        self._manager, self._user, self._watches_jobs = manager, user, watches_jobs

    def rows(self) -> dict[str, Any]:
        """Return `cluster`, `queue`, `kernels` and the rest; `clusters` has the parts of each, if there are several."""
        manager = self._manager
        clusters: list[dict[str, Any]] = manager.clusters.status()
        for each in clusters:
            each["queue"] = self._seen(each["queue"])
        leases = {kernel_id: lease for each in clusters for kernel_id, lease in each.pop("leases").items()}
        queue = [row for each in clusters for row in each["queue"]]
        return {
            "cluster": clusters[0]["cluster"] if clusters else None,
            "queue": queue,
            "kernels": self._kernels(leases, queue),
            "zombies": self._seen(manager.zombies.status()),
            "warm": self._warm(),
            "failures": manager.failures.status(self._user),
            "clusters": clusters,
        }

    def _kernels(self, leases: dict[str, dict[str, Any]], queue: list[dict[str, Any]]) -> list[dict[str, Any]]:
        waits = {row["kernel_id"]: row for row in queue if row["app_id"]}
        seen = (kernel for kernel in self._manager.kernels() if self._sees(kernel.kernel_id))
        return [
            _kernel(each, leases.get(each.kernel_id), waits.get(each.kernel_id)) | self._spark(each) for each in seen
        ]

    def _spark(self, kernel: GatewayKernel) -> dict[str, Any]:
        """Return the parts of a kernel's row that its driver tells.

        `idle_since` is its last use, in UTC; `jobs` are those of the `jobs_running` whose progress is known, as of
        SparkJobs; `spark_ui` is the path of its Spark UI, None while it has none.
        """
        report, jobs = report_of(kernel), self._manager.spark_jobs
        if self._watches_jobs:
            jobs.look_at(kernel, report)
        return {
            "idle_since": kernel.idle_since(report),
            "jobs": jobs.rows(kernel.kernel_id, report),
            "jobs_running": report.jobs,
            "spark_ui": ui_path(self._manager.parent.base_url, kernel.kernel_id, report),
        }

    def _sees(self, kernel_id: str) -> bool:
        return self._user.sees(self._manager.owner_of(kernel_id))

    def _seen(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of the kernels that exist for the user."""
        return [row for row in rows if self._sees(row["kernel_id"])]

    def _warm(self) -> dict[str, Any]:
        """Return what waits for users. The kernels are nobody's, and reasons may tell what others asked for.

        So administrators alone see both.
        """
        warm = self._manager.warm_pool.status() | {"paused": self._manager.warm_refill.paused}
        return warm if self._user.is_admin else warm | {"kernels": [], "missed": {}}


def _kernel(kernel: GatewayKernel, lease: dict[str, Any] | None, wait: dict[str, Any] | None) -> dict[str, Any]:
    """Return a kernel's row, where it has a lease and where its application waits at the master also by their rows.

    `cores` are those that it holds or that are reserved for it, `cores_held` those that its application has now, and
    `given_back` those of `cores_admitted` that others may have until it needs them. `since` is its start, in UTC.
    `state` says in words what `execution_state`, `lease` (promised, running or resting) and
    `reason` (why it is dead, or how its last process died) say one by one.
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
        "execution_state": kernel.execution_state,
        "lease": lease["state"] if lease else None,
        "reason": kernel.reason,
        "app_id": lease["app_id"] if lease else None,
        "pid": kernel.pid,
        "since": kernel.since,
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
