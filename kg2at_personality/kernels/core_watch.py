"""The cells that wait for cores: their kernels are watched while they are busy, and their notebooks told.

A look is at what the gateway remembers and at the report of the kernel's driver: it asks neither the kernel nor the
master. The admission queue asks the master while a kernel lacks cores.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from logging import Logger
from typing import Any, Protocol
from weakref import WeakSet

from ..admission.clusters import Clusters
from ..admission.messages import cores_given_back, executors_end
from ..plural import span
from ..spark.driver_report import DriverReport
from ..spark.executor_deaths import ExecutorDeaths
from ..spark.redaction import Redactor
from .core_wait import CoreWait
from .kernel import GatewayKernel
from .supplies import Supplies
from .timing import Timing

#: Executors that must die between two looks at them until that is what their notebook is told: a single one may be bad
#: luck. Or so many in all, as a master's page of them may be too long to show that they are more.
DEATHS, MANY_DEATHS = 2, 200
#: How many times as long as the first one the pauses get in which they are asked for. A master makes a page of all that
#: ever were, and that may be thirty a second.
LONGEST = 16


class WatchHost(Protocol):
    """A manager, as CoreWatch sees it."""

    supplies: Supplies
    timing: Timing
    job_wait_timeout: float
    log: Logger

    def kernels(self) -> list[GatewayKernel]: ...
    def keep(self, work: Coroutine[Any, Any, None]) -> None: ...


@dataclass
class _Cell:
    """A cell that runs, and is looked at when it is `due`, by the loop's clock. `looks` counts how often it was.

    `since` is when it was first seen to lack an executor; None: it has one. `asked_at` is when its application's
    executors were last asked for, `asked` how often that was, `dead` how many had died the first time.
    """

    due: float
    looks: int = 0
    since: float | None = None
    asked_at: float | None = None
    asked: int = 0
    dead: int | None = None
    deaths: ExecutorDeaths | None = None
    is_interrupted: bool = False


class CoreWatch:
    """Watches all kernels that hold a lease, in one task, which ends when there is none."""

    def __init__(self, host: WatchHost) -> None:
        self._host = host
        self._cells: dict[str, _Cell] = {}
        #: When all kernels are looked at, by the loop's clock.
        self._round_due = 0.0
        self._followed: WeakSet[GatewayKernel] = WeakSet()
        self._told: WeakSet[GatewayKernel] = WeakSet()
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def follow(self, kernel: GatewayKernel) -> None:
        """Watch a kernel from now on. Idempotent."""
        if kernel not in self._followed:
            self._followed.add(kernel)
            kernel.observe(lambda change: self._on_state(change["owner"], str(change["new"])), "execution_state")
            self._on_state(kernel, str(kernel.execution_state))

    async def close(self) -> None:
        """Stop watching. Called when the gateway ends; idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _on_state(self, kernel: GatewayKernel, state: str) -> None:
        """Called when a kernel's state changes. Whatever it waited for, with its cell the wait is over."""
        if kernel.admission is None:
            return
        if state == "busy":
            # Most cells have ended by then, and cost nothing.
            self._cells[kernel.kernel_id] = _Cell(due=self._now() + self._host.timing.core_look)
            self._tell_of_cores(kernel)
        else:
            cell, kernel.core_wait = self._cells.pop(kernel.kernel_id, None), None
            if cell is not None and cell.looks:
                self._try_to_look(kernel)
        self._hurry.set()
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        while kernels := [each for each in self._host.kernels() if self._clusters.holds(each.kernel_id)]:
            self._hurry.clear()
            self._forget_all_but(kernels)
            for kernel in self._due(kernels):
                self._try_to_look(kernel)
            await self._pause()

    def _due(self, kernels: list[GatewayKernel]) -> list[GatewayKernel]:
        """Return the kernels to look at now: those whose cells are due, all of them once in a while."""
        now = self._now()
        if now >= self._round_due:
            self._round_due = now + self._host.timing.idle_core_look
            return kernels
        due = {kernel_id for kernel_id, cell in self._cells.items() if now >= cell.due}
        return [kernel for kernel in kernels if kernel.kernel_id in due]

    async def _pause(self) -> None:
        """Wait until something is due, or a cell begins or ends."""
        due = min([self._round_due, *(cell.due for cell in self._cells.values())])
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), due - self._now())

    def _forget_all_but(self, kernels: list[GatewayKernel]) -> None:
        listed = {kernel.kernel_id for kernel in kernels}
        self._cells = {kernel_id: cell for kernel_id, cell in self._cells.items() if kernel_id in listed}

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    @property
    def _clusters(self) -> Clusters:
        return self._host.supplies.clusters

    # One kernel.

    def _try_to_look(self, kernel: GatewayKernel) -> None:
        """Look at a kernel; one that fails keeps no other from being looked at."""
        try:
            self._look(kernel)
        except Exception:
            self._host.log.exception("Kernel %s can't be watched", kernel.kernel_id)

    def _look(self, kernel: GatewayKernel) -> None:
        """Tell the queue what the kernel does, and its notebook what it waits for."""
        cell = self._cells.get(kernel.kernel_id)
        if cell is not None:
            cell.due, cell.looks = self._now() + self._host.timing.core_look, cell.looks + 1
        report = kernel.kind.driver_report()
        self._clusters.note_work(kernel.kernel_id, report, is_busy=cell is not None)
        if cell is None:
            self._tell_of_cores(kernel)
        elif not cell.is_interrupted:
            self._look_at(cell, kernel, report)

    def _look_at(self, cell: _Cell, kernel: GatewayKernel, report: DriverReport | None) -> None:
        wait = self._clusters.wait_of(kernel.kernel_id)
        if wait is None and not (report is not None and report.lacks_executors):
            cell.since, cell.dead, cell.deaths, kernel.core_wait = None, None, None, None
            return
        now = self._now()
        cell.since = now if cell.since is None else cell.since
        if wait is None:
            self._look_at_executors(cell, kernel, report, now)
        message = self._deaths_message(cell) or (None if wait is None else wait.message)
        waited = now - cell.since
        if message is None:
            kernel.core_wait = None
        elif waited >= self._grace(kernel):
            self._tell(cell, kernel, f"{message} ({span(waited)} so far)", waited)

    def _grace(self, kernel: GatewayKernel) -> float:
        """Return the seconds for which nothing is said of a wait: an application that gets cores at once needs them.

        With dynamic allocation a driver asks for an executor when its tasks have waited for a second
        (spark.dynamicAllocation.schedulerBacklogTimeout).
        """
        times = self._host.timing
        return times.elastic_core_grace if _is_elastic(kernel) else times.core_grace

    def _tell(self, cell: _Cell, kernel: GatewayKernel, message: str, waited: float) -> None:
        limit = self._host.job_wait_timeout
        if not limit or waited < limit:
            kernel.core_wait = CoreWait(message)
            return
        self._host.log.warning("Interrupting kernel %s after job_wait_timeout: %s", kernel.kernel_id, message)
        cell.is_interrupted = True
        kernel.core_wait = CoreWait(message, is_over=True)
        self._host.keep(self._interrupt(kernel))

    async def _interrupt(self, kernel: GatewayKernel) -> None:
        try:
            await kernel.interrupt_kernel()
        except (OSError, RuntimeError) as error:  # it is refused, or the kernel has just gone
            self._host.log.error("Kernel %s could not be interrupted: %s", kernel.kernel_id, error)

    # Executors that die.

    def _look_at_executors(self, cell: _Cell, kernel: GatewayKernel, report: DriverReport | None, now: float) -> None:
        """Ask what became of the executors of an application that has its cores, and no executor for some time."""
        # The second look comes soon, as it takes two to see that they die.
        pause = self._host.timing.executor_look * min(2 ** (cell.asked - 2) if cell.asked else 1, LONGEST)
        if report is None or not report.app_id or cell.since is None or now - (cell.asked_at or cell.since) < pause:
            return
        cell.asked_at, cell.asked = now, cell.asked + 1
        self._host.keep(self._ask_for_deaths(cell, kernel, report.app_id))

    async def _ask_for_deaths(self, cell: _Cell, kernel: GatewayKernel, app_id: str) -> None:
        redactor = kernel.kind.redactor()
        deaths = await self._clusters.deaths(kernel.kernel_id, app_id, redactor or Redactor())
        # Without its own redactor nobody knows the secrets in what they say.
        cell.deaths = deaths if redactor is not None else replace(deaths, last_lines=())
        cell.dead = deaths.count if cell.dead is None else cell.dead

    def _deaths_message(self, cell: _Cell) -> str | None:
        deaths, before = cell.deaths, cell.dead or 0
        if deaths is None or (deaths.count - before < DEATHS and before < MANY_DEATHS):
            return None
        return executors_end(deaths)

    # Cores that were given back.

    def _tell_of_cores(self, kernel: GatewayKernel) -> None:
        """Have the notebook told, once, that an idle application gave back cores."""
        if kernel in self._told or not _is_elastic(kernel):
            return
        cores = self._clusters.given_back(kernel.kernel_id)
        report = kernel.kind.driver_report() if cores else None
        if report is not None and report.app_id and report.idle_since is not None:
            self._told.add(kernel)
            kernel.core_note = cores_given_back(cores, time.time() - report.idle_since)


def _is_elastic(kernel: GatewayKernel) -> bool:
    """Return whether the kernel's application gives back executors that are idle."""
    executors = kernel.admission.request.executors if kernel.admission is not None else None
    return executors is not None and executors.is_elastic
