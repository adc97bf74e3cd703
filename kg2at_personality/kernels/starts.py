"""The starts of kernels that are under way: those that wait for cores, and the launches that some have come to."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from logging import Logger
from typing import Any, Protocol

from ..admission.messages import closing
from ..errors import KernelIdTaken, StartEnded, TooManyKernels
from ..state.failpoints import Failpoints
from ..state.record import Admission
from .kernel import GatewayKernel
from .launch.plan import Plan
from .launch_failure import SYSTEM_ERRORS, launch_failure
from .resource_limits import check_descriptors
from .stops import Stops
from .supplies import Supplies

#: Descriptors that a launch takes: pipes, files, three ZeroMQ sockets with their connections.
DESCRIPTORS = 16


@dataclass
class Launch:
    """What one launch is made of. `kernel` is there as soon as jupyter_client has made it."""

    kernel_name: str
    requested: dict[str, str] | None
    env: dict[str, str]
    plan: Plan | None
    admission: Admission | None
    kernel: GatewayKernel | None = None

    def equip(self, kernel: GatewayKernel, kernel_id: str) -> None:
        """Give the kernel what it needs before it is started."""
        kernel.kernel_id, kernel.requested = kernel_id, self.requested
        kernel.plan, kernel.admission = self.plan, self.admission
        self.kernel = kernel


class StartHost(Protocol):
    """A manager, as the starts of its kernels see it."""

    supplies: Supplies
    failpoints: Failpoints
    log: Logger

    def __contains__(self, kernel_id: str) -> bool: ...
    def living_kernels(self) -> list[GatewayKernel]: ...
    def max_kernel_count(self) -> int | None: ...
    def remove_traces(self, kernel_id: str) -> None: ...
    def keep(self, work: Coroutine[Any, Any, None]) -> None: ...
    async def start_as_jupyter(self, kernel_id: str, kernel_name: str, env: dict[str, str], **kwargs: Any) -> None: ...
    async def shutdown_kernel(self, kernel_id: str, now: bool = False) -> None: ...


class Starts:
    """Starts kernels, each under an id of its own, as long as the gateway is not about to end."""

    def __init__(self, host: StartHost, stops: Stops) -> None:
        self._host, self._stops = host, stops
        self._is_closed = False
        self._tasks: dict[str, asyncio.Task[str]] = {}
        #: The launches that some of them have come to.
        self._launches: dict[str, asyncio.Future[str]] = {}
        self._launching: dict[str, Launch] = {}

    def __contains__(self, kernel_id: object) -> bool:
        return kernel_id in self._tasks

    def __len__(self) -> int:
        return len(self._tasks)

    def task_to_stop(self, kernel_id: str) -> asyncio.Task[str] | None:
        """Return the start of a kernel that is to be stopped; None when there is none to wait for."""
        # A launch that shuts down its own kernel, as a manager derived from kg2at's might, can't be waited for.
        is_own = self._launches.get(kernel_id) is asyncio.current_task()
        return None if is_own else self._tasks.get(kernel_id)

    def launch_of(self, kernel_id: str) -> Launch | None:
        """Return what the kernel is launched with that jupyter_client is about to make; None for any other."""
        return self._launching.get(kernel_id)

    def close(self) -> None:
        """Start no kernel any more: the gateway is about to end."""
        self._is_closed = True

    def refuse_when_closed(self) -> None:
        """Raise what refuses a kernel when the gateway is about to end."""
        if self._is_closed:
            raise closing()

    async def finish(self) -> None:
        """Wait until all that are under way have come to their end."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def start(self, kernel_id: str, kernel_name: str, requested: Mapping[str, str] | None, **kwargs: Any) -> None:
        """Start a kernel. Whoever cancels leaves none behind. Raises StartEnded when it is shut down meanwhile.

        Raises what `_refuse`, `Supplies.plan` and `Supplies.admit` raise, and LaunchFailed.
        """
        self._refuse(kernel_id)
        start = asyncio.create_task(self._admit_and_launch(kernel_id, kernel_name, requested, **kwargs))
        self._tasks[kernel_id] = start
        start.add_done_callback(lambda _: self._tasks.pop(kernel_id))
        try:
            await asyncio.shield(start)
        except asyncio.CancelledError:
            if not start.cancelled():
                self._host.keep(self._take_back(kernel_id, start))
                raise
        if start.cancelled() or kernel_id in self._stops:
            raise StartEnded("The kernel was shut down while it was being started.")

    def _refuse(self, kernel_id: str) -> None:
        """Raise what refuses a kernel before anything is done for it: each start has an id, and a place, of its own."""
        self.refuse_when_closed()
        if kernel_id in self._tasks:
            raise KernelIdTaken(f"Kernel {kernel_id} is being started already. Wait for it, or choose another id.")
        if kernel_id in self._stops.zombies:
            raise KernelIdTaken(f"Processes of an earlier kernel {kernel_id} can't be ended. Choose another id.")
        limit = self._host.max_kernel_count()
        starting = sum(each not in self._host for each in self._tasks)
        if limit is not None and len(self._host.living_kernels()) + starting >= limit:
            raise TooManyKernels(f"This gateway runs at most {limit} kernels (max_kernels). Shut one down first.")

    async def _admit_and_launch(
        self, kernel_id: str, kernel_name: str, requested: Mapping[str, str] | None, **kwargs: Any
    ) -> str:
        """Do one start, in a task of its own. A cancel ends it before the launch; a launch goes on to its end."""
        supplies = self._host.supplies
        env = supplies.environment(kernel_id, requested)
        plan = await supplies.plan(kernel_name, env)
        admission = await supplies.admit(kernel_id, kernel_name, env, plan)
        self._host.failpoints.reached("start: admitted")
        sent = None if requested is None else dict(requested)
        launch = Launch(kernel_name, sent, env, plan, admission)
        launching = asyncio.ensure_future(self._launch(kernel_id, launch, **kwargs))
        self._launches[kernel_id] = launching
        launching.add_done_callback(lambda _: self._launches.pop(kernel_id))
        while not launching.done():
            # Whoever cancels now ends the kernel when it has started.
            with suppress(asyncio.CancelledError):
                await asyncio.shield(launching)
        return launching.result()

    async def _launch(self, kernel_id: str, launch: Launch, **kwargs: Any) -> str:
        self._launching[kernel_id] = launch
        try:
            self.refuse_when_closed()
            check_descriptors(DESCRIPTORS)
            await self._host.start_as_jupyter(kernel_id, launch.kernel_name, launch.env, **kwargs)
        except SYSTEM_ERRORS as error:
            await self._discard(kernel_id)
            raise launch_failure(error) from error
        except BaseException:
            await self._discard(kernel_id)
            raise
        del self._launching[kernel_id]
        if launch.kernel is not None:
            launch.kernel.startup.watch()
        self._host.failpoints.reached("start: done")
        return kernel_id

    async def _discard(self, kernel_id: str) -> None:
        """Undo a launch that failed at any point."""
        kernel = self._launching.pop(kernel_id).kernel
        self._host.remove_traces(kernel_id)
        if kernel is None or await kernel.termination.discard():
            self._host.supplies.forget(kernel_id)
        else:
            self._stops.add_zombie(kernel, "its start failed, and it may not be signalled")

    async def _take_back(self, kernel_id: str, start: asyncio.Task[str]) -> None:
        """End a start whose client is gone, or the kernel that came of it."""
        start.cancel()
        await asyncio.wait([start])
        if kernel_id in self._host:
            self._host.log.warning("Shutting down kernel %s: nobody waits for it any more", kernel_id)
            await self._host.shutdown_kernel(kernel_id, now=True)
