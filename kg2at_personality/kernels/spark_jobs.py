"""How far the jobs of kernels are, by their drivers' own REST APIs: asked only while somebody looks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from ..errors import NoSparkUi, SparkUiSilent
from ..spark.driver_jobs import Job, parsed
from ..spark.driver_report import DriverReport
from .kernel import GatewayKernel
from .spark_uis import SparkUis, report_of
from .timing import Timing

#: Drivers that are asked at a time.
MOST_AT_ONCE = 8


class SparkJobs:
    """Asks each kernel whose jobs are looked at, in a task that ends with the jobs, or when nobody looks any more."""

    def __init__(self, uis: SparkUis, timing: Timing) -> None:
        self._uis, self._timing = uis, timing
        self._jobs: dict[str, Sequence[Job]] = {}
        self._looked_at: dict[str, float] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._is_closed = False

    def look_at(self, kernel: GatewayKernel, report: DriverReport) -> None:
        """Have the kernel asked for a while, in the background. No-op when its newest report tells of no jobs."""
        if self._is_closed or not report.jobs:
            return
        kernel_id = kernel.kernel_id
        self._looked_at[kernel_id] = asyncio.get_running_loop().time()
        if kernel_id not in self._tasks:
            self._tasks[kernel_id] = asyncio.ensure_future(self._follow(kernel))

    def rows(self, kernel_id: str, report: DriverReport) -> list[dict[str, Any]]:
        """Return the jobs as the driver last told them, the oldest first; [] when nobody has asked, or none runs.

        Each has its `name` (what its user calls it, else where it is in the code), tasks `done` of all `tasks`, how
        many tasks have `failed`, `stages_done` of all `stages`, and `seconds` since its begin (None: not told).
        """
        now = datetime.now(timezone.utc)
        return [_row(job, now) for job in self._jobs.get(kernel_id, ())] if report.jobs else []

    async def close(self) -> None:
        """Ask no more. Called when the gateway ends; idempotent."""
        self._is_closed = True
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _follow(self, kernel: GatewayKernel) -> None:
        try:
            while self._is_watched(kernel):
                async with self._turns:
                    self._jobs[kernel.kernel_id] = await self._ask(kernel)
                await asyncio.sleep(self._timing.jobs_poll)
        finally:
            for by_id in (self._tasks, self._jobs, self._looked_at):
                by_id.pop(kernel.kernel_id, None)

    def _is_watched(self, kernel: GatewayKernel) -> bool:
        """Return whether somebody looks, and the kernel has jobs."""
        if not report_of(kernel).jobs:
            return False
        return asyncio.get_running_loop().time() - self._looked_at[kernel.kernel_id] < self._timing.jobs_watched

    async def _ask(self, kernel: GatewayKernel) -> Sequence[Job]:
        """Return the jobs that the driver tells; none if it does not answer as Spark does."""
        with suppress(NoSparkUi, SparkUiSilent, ValueError):
            ui = await self._uis.find(kernel)
            # A large answer would hold the loop.
            return await asyncio.to_thread(parsed, await ui.running_jobs(self._timing.jobs_limit))
        return ()


def _row(job: Job, now: datetime) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "tasks": job.tasks,
        "done": job.done,
        "failed": job.failed,
        "stages": job.stages,
        "stages_done": job.stages_done,
        "seconds": None if job.began is None else max(0.0, round((now - job.began).total_seconds(), 1)),
    }
