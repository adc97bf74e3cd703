"""The starts of kernels that are under way: those that wait for cores, and the launches that some have come to."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from logging import Logger
from typing import Any, Protocol

from ..admission.messages import closing
from ..errors import KernelIdTaken, StartEnded
from ..state.failpoints import Failpoints
from .handover import HandoverHost, hand_over
from .kernel import GatewayKernel
from .kernel_limits import KernelLimits, LimitHost
from .launch_failure import SYSTEM_ERRORS, launch_failure
from .lives import Lives
from .resource_limits import check_descriptors
from .specs import SparkKernelSpecManager
from .start import Start
from .stops import Stops
from .supplies import Supplies
from .task_end import task_end
from .user import GatewayUser
from .waiting_kernel import WaitingKernel
from .warm_pool import WarmPool

#: Descriptors that a launch takes: pipes, files, three ZeroMQ sockets with their connections.
DESCRIPTORS = 16


class StartHost(HandoverHost, LimitHost, Protocol):
    """A manager, as the starts of its kernels see it."""

    supplies: Supplies
    kernel_spec_manager: SparkKernelSpecManager
    failpoints: Failpoints
    lives: Lives
    log: Logger

    def new_kernel_id(self) -> str: ...
    def owner_of(self, kernel_id: str) -> str | None: ...
    def remove_traces(self, kernel_id: str) -> None: ...
    def keep(self, work: Coroutine[Any, Any, None]) -> None: ...
    async def start_as_jupyter(self, kernel_id: str, kernel_name: str, env: dict[str, str], **kwargs: Any) -> None: ...
    async def shutdown_kernel(self, kernel_id: str, now: bool = False) -> None: ...


class Starts:
    """Starts kernels, each under an id of its own, as long as the gateway is not about to end."""

    def __init__(self, host: StartHost, stops: Stops, pool: WarmPool) -> None:
        self._host, self._stops, self._pool = host, stops, pool
        self._is_closed = False
        self._starts: dict[str, Start] = {}
        self._limits = KernelLimits(host)

    def __contains__(self, kernel_id: object) -> bool:
        return kernel_id in self._starts

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def ids(self) -> set[str]:
        """Return the ids of the kernels that are being started."""
        return set(self._starts)

    def task_to_stop(self, kernel_id: str) -> asyncio.Task[None] | None:
        """Return the start of a kernel that is to be stopped; None when there is none to wait for."""
        start = self._starts.get(kernel_id)
        # A launch that shuts down its own kernel, as a manager derived from kg2at's might, can't be waited for.
        return None if start is None or start.launch is asyncio.current_task() else start.task

    def of(self, kernel_id: str) -> Start | None:
        """Return the start of a kernel that jupyter_client is about to make; None for any other."""
        return self._starts.get(kernel_id)

    def close(self) -> None:
        """Start no kernel any more: the gateway is about to end."""
        self._is_closed = True

    def refuse_when_closed(self) -> None:
        """Raise what refuses a kernel when the gateway is about to end."""
        if self._is_closed:
            raise closing()

    async def finish(self) -> None:
        """Wait until all that are under way have come to their end."""
        tasks = [start.task for start in self._starts.values() if start.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def run(self, start: Start) -> None:
        """Start a kernel. Whoever cancels leaves none behind. Raises StartEnded when it is shut down meanwhile.

        Raises what `_refuse`, `Supplies.plan` and `Supplies.admit` raise, and LaunchFailed.
        """
        self._refuse(start)
        self._starts[start.kernel_id] = start
        start.task = task = asyncio.create_task(self._admit_and_launch(start))
        task.add_done_callback(lambda _: self._starts.pop(start.kernel_id))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                self._host.keep(self._take_back(start, task))
                raise
        if task.cancelled() or start.kernel_id in self._stops:
            raise StartEnded("The kernel was shut down while it was being started.")

    def _refuse(self, start: Start) -> None:
        """Raise what refuses a kernel before anything is done for it: each start has an id, and a place, of its own."""
        self.refuse_when_closed()
        kernel_id = start.kernel_id
        owner = self._host.owner_of(kernel_id)
        if owner is not None and not start.user.sees(owner):
            raise KernelIdTaken(f"The kernel id {kernel_id} is in use. Choose another one, or none.")
        if kernel_id in self._starts:
            raise KernelIdTaken(f"Kernel {kernel_id} is being started already. Wait for it, or choose another id.")
        if kernel_id in self._pool:
            raise KernelIdTaken(f"Kernel {kernel_id} waits for a user who does not choose an id. Choose another one.")
        if kernel_id in self._stops.zombies:
            raise KernelIdTaken(f"Processes of an earlier kernel {kernel_id} can't be ended. Choose another id.")
        self._limits.check(start.user, self._starts.values())

    def restarting(self, kernel: GatewayKernel, user: GatewayUser) -> AbstractContextManager[None]:
        """Have a kernel count while `user` restarts it; see KernelLimits.restarting."""
        return self._limits.restarting(kernel, user, self._starts.values())

    def owner_of(self, kernel_id: str) -> str | None:
        """Return whose kernel is being started; None when none of this id is."""
        start = self._starts.get(kernel_id)
        return None if start is None else start.user.name

    async def _admit_and_launch(self, start: Start) -> None:
        """Do one start, in a task of its own. A cancel ends it before the launch; a launch goes on to its end."""
        supplies = self._host.supplies
        start.env = supplies.environment(start.kernel_id, start.requested, start.user.name)
        # Here, where it is found out whether there is such a kernelspec at all: one that is not for its user is none.
        self._host.kernel_spec_manager.check_open_to(start.user, start.kernel_name)
        start.plan = await supplies.plan(start.kernel_name, start.env, start.user.name)
        waiting = await self._pool.claim(start)
        if waiting is None or not await self._get_handed(start, waiting):
            await self._admit(start)
            await self._to_its_end(start, self._launch(start))
        self._pool.note(start)
        how = f"was started: {start.warm_reason}" if start.warm_reason else "had waited for its user"
        self._host.log.info("Kernel %s (%s) %s", start.kernel_id, start.kernel_name, how)
        self._host.lives.started(start)
        self._host.failpoints.reached("start: done")

    async def _admit(self, start: Start) -> None:
        supplies = self._host.supplies
        with self._host.lives.core_wait(start):
            start.admission = await supplies.admit(
                start.kernel_id, start.kernel_name, start.env, start.plan, start.user.max_cores
            )
        self._host.failpoints.reached("start: admitted")

    async def _get_handed(self, start: Start, waiting: WaitingKernel) -> bool:
        """Go on with the kernel that was claimed, and under its id. Return False, and another id, if that fails."""
        self._rename(start, waiting.kernel_id)
        try:
            await self._admit(start)
            self.refuse_when_closed()
        except BaseException:
            self._give_back(start, waiting)
            raise
        self._pool.take(waiting)
        if await self._to_its_end(start, hand_over(self._host, self._stops, start, waiting)):
            return True
        self._rename(start, self._host.new_kernel_id())
        return False

    def _give_back(self, start: Start, waiting: WaitingKernel) -> None:
        """Let another start claim the kernel, as nothing has been handed to it."""
        self._host.supplies.clusters.release(start.kernel_id)
        if start.kernel_id in self._stops:
            # Somebody knows the id, and has asked for its end.
            self._pool.end(waiting)
        else:
            self._pool.give_back(waiting)

    def _rename(self, start: Start, kernel_id: str) -> None:
        """Go on with a start under another id, before anybody has got the one that it had."""
        del self._starts[start.kernel_id]
        start.kernel, start.kernel_id = None, kernel_id
        start.env = self._host.supplies.environment(kernel_id, start.requested, start.user.name)
        self._starts[kernel_id] = start

    async def _to_its_end(self, start: Start, work: Coroutine[Any, Any, bool]) -> bool:
        """Return what `work` does: whether there is a kernel now. Whoever cancels meanwhile ends it afterwards."""
        start.launch = asyncio.ensure_future(work)
        is_cancelled = await task_end(start.launch)
        if is_cancelled and not start.launch.result():
            raise asyncio.CancelledError
        return start.launch.result()

    async def _launch(self, start: Start) -> bool:
        try:
            self.refuse_when_closed()
            check_descriptors(DESCRIPTORS)
            await self._host.start_as_jupyter(start.kernel_id, start.kernel_name, start.env, **start.arguments)
        except SYSTEM_ERRORS as error:
            await self._discard(start)
            raise launch_failure(error) from error
        except BaseException:
            await self._discard(start)
            raise
        if start.kernel is not None:
            start.kernel.startup.watch()
        return True

    async def _discard(self, start: Start) -> None:
        """Undo a launch that failed at any point."""
        self._host.remove_traces(start.kernel_id)
        if start.kernel is None or await start.kernel.termination.discard():
            self._host.supplies.forget(start.kernel_id)
        else:
            self._stops.add_zombie(start.kernel, "its start failed, and it may not be signalled")

    async def _take_back(self, start: Start, task: asyncio.Task[None]) -> None:
        """End a start whose client is gone, or the kernel that came of it."""
        task.cancel()
        await asyncio.wait([task])
        if start.kernel_id in self._host:
            self._host.log.warning("Shutting down kernel %s: nobody waits for it any more", start.kernel_id)
            await self._host.shutdown_kernel(start.kernel_id, now=True)
