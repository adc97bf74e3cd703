"""The restart of a kernel: by a user, or by the gateway when the kernel died."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import Any

from jupyter_client.ioloop import AsyncIOLoopKernelRestarter

from ..errors import KernelDied, KG2ATError, LaunchFailed
from ..state.record import RESTARTING, Admission
from .interfaces import Kernel
from .launch.plan import Plan
from .launch_failure import SYSTEM_ERRORS, launch_failure
from .record_keeper import RecordKeeper
from .startup import Startup
from .task_end import task_end


class Restarter(AsyncIOLoopKernelRestarter):
    """Restarts a kernel that died after it had answered. One that never did would only die again."""

    async def poll(self) -> None:  # type: ignore[override]
        """Called every `time_to_dead` seconds. What tells of the restart finds the death in the kernel's `reason`."""
        kernel: Kernel = self.kernel_manager
        if not _is_watched(kernel):
            return
        launch = kernel.launches
        death = "" if await kernel.is_alive() else f"The kernel died {await kernel.console.ending()}"
        if not _is_watched(kernel):
            return
        if death:
            # The notebook hears of the reason at once, and who looks into the log then finds it there.
            kernel.log.error("Kernel %s: %s", kernel.kernel_id, death)
            kernel.reason = death
        try:
            await super().poll()
        except KG2ATError as error:
            await kernel.mark_dead(f"The kernel died, and can't be restarted: {error}")
        kernel.reason = kernel.reason or death
        if death:
            kernel.parent.lives.died(kernel, death, restarted=launch)


def _is_watched(kernel: Kernel) -> bool:
    """Return whether its end would be a death: nobody is about to end or restart it, and it is not one at the start."""
    return kernel.has_answered and not kernel.shutting_down and not kernel.lifecycle.locked()


class Restart:
    """Restarts one kernel by a plan made from the files as they are now; ports and connection file stay."""

    def __init__(self, kernel: Kernel, startup: Startup, recorder: RecordKeeper) -> None:
        self._kernel, self._startup, self._recorder = kernel, startup, recorder
        #: What a restart waits for before it touches anything: its plan, and cores.
        self._supplies: asyncio.Future[tuple[Plan | None, Admission | None]] | None = None
        self._is_closed = False
        #: Held while a death is cleaned up, which gives back cores, record and sockets.
        self.death = asyncio.Lock()

    def close(self) -> None:
        """Refuse restarts from now on, and those that have touched nothing yet. Idempotent."""
        self._is_closed = True
        if self._supplies is not None:
            self._supplies.cancel()

    async def run(self, now: bool, **kwargs: Any) -> None:
        """Restart the kernel. Raises KernelDied when it is shut down meanwhile, LaunchFailed, and admission's errors.

        Until the plan is made and the cores are there, whatever is raised leaves the kernel as it is; afterwards it is
        marked dead. A cancel comes too late then: it is raised at the end.
        """
        async with self._kernel.lifecycle:
            self._refuse_when_closed()
            admission = await self._supply()
            self._write_record(admission)
            self._kernel.parent.failpoints.reached("restart: recorded")
            replacing = asyncio.ensure_future(self._replace_process(now, **kwargs))
            is_cancelled = await task_end(replacing)
            replacing.result()
            if is_cancelled:
                raise asyncio.CancelledError

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise KernelDied("The kernel has been shut down.")

    async def _supply(self) -> Admission | None:
        """Get the plan of the next process. Return what it was admitted with if it had to be admitted again."""
        self._supplies = asyncio.ensure_future(self._get_supplies())
        try:
            self._kernel.plan, admission = await self._supplies
        except asyncio.CancelledError:
            self._refuse_when_closed()
            raise
        finally:
            self._supplies = None
        if admission is not None:
            self._kernel.admission, self._kernel.cores_since = admission, datetime.now(timezone.utc)
        return admission

    async def _get_supplies(self) -> tuple[Plan | None, Admission | None]:
        kernel, supplies = self._kernel, self._kernel.parent.supplies
        env = kernel.launch_args["env"]
        plan = await supplies.plan(kernel.kernel_name, env, kernel.owner)
        async with self.death:
            pass  # what a death gives back from here on would be the next process's
        max_cores = kernel.admission.request.max_cores if kernel.admission is not None else None
        return plan, await supplies.admit(kernel.kernel_id, kernel.kernel_name, env, plan, max_cores)

    def _write_record(self, admission: Admission | None) -> None:
        try:
            self._recorder.write(RESTARTING)
        except OSError as error:
            if admission is not None:
                self._kernel.parent.supplies.clusters.release(self._kernel.kernel_id)
            raise LaunchFailed(f"The kernel goes on as it is, as no record can be written: {error}.") from error

    async def _replace_process(self, now: bool, **kwargs: Any) -> None:
        try:
            await self._kernel.replace_process(now, **kwargs)
        except Exception as error:
            await self._kernel.mark_dead(f"The kernel could not be restarted: {error}")
            if isinstance(error, SYSTEM_ERRORS):
                raise launch_failure(error, "restarted") from error
            raise
        self._startup.watch()
