"""The stops of kernels: one for each, that all who ask for it wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from logging import Logger
from typing import Protocol

from ..state.failpoints import Failpoints
from ..state.record import STOPPING
from .ended_kernels import EndedKernels
from .kernel import GatewayKernel
from .lives import Lives
from .supplies import Supplies
from .timing import Timing
from .user import GatewayUser
from .zombies import Zombie, Zombies


class StopHost(Protocol):
    """A manager, as the stops of its kernels see it."""

    supplies: Supplies
    failpoints: Failpoints
    timing: Timing
    lives: Lives
    log: Logger

    def __contains__(self, kernel_id: str) -> bool: ...
    def get_kernel(self, kernel_id: str) -> GatewayKernel: ...
    def listed(self, kernel_id: str) -> GatewayKernel | None: ...
    def check_known(self, kernel_id: str) -> None: ...
    def is_starting(self, kernel_id: str) -> bool: ...
    def owner_of(self, kernel_id: str) -> str | None: ...
    def task_to_stop(self, kernel_id: str) -> asyncio.Task[None] | None: ...
    def stop_following(self, kernel_id: str) -> None: ...
    def unlist(self, kernel_id: str) -> None: ...


class Stops:
    """Stops kernels, those that are still being started too."""

    def __init__(self, host: StopHost) -> None:
        self._host = host
        self._tasks: dict[str, asyncio.Future[None]] = {}
        #: Id -> why it is culled, while jupyter_server culls it.
        self._reasons: dict[str, str] = {}
        self.ended = EndedKernels()
        self.zombies = Zombies(host.supplies.forget, lambda: host.timing.zombie_retry, host.log)

    def __contains__(self, kernel_id: object) -> bool:
        return kernel_id in self._tasks

    def __len__(self) -> int:
        return len(self._tasks)

    async def stop(self, kernel_id: str, now: bool = False, by: GatewayUser | None = None) -> None:
        """Stop a kernel. Whoever asks while that is under way waits for the same stop. No-op for one that has ended.

        `by` is who asks for it; None: the gateway.

        Returns when its processes are gone and the master has its cores back, or when it has become a zombie. Raises
        tornado's HTTPError 404 for an id that was never a kernel's. Cancelling it stops nothing.
        """
        if kernel_id not in self._tasks:
            # An id may be used again, so what runs comes before what is remembered.
            if kernel_id not in self._host and not self._host.is_starting(kernel_id):
                if kernel_id in self.ended:
                    return
                self._host.check_known(kernel_id)
            start = self._host.task_to_stop(kernel_id)
            owner = self._host.owner_of(kernel_id) or ""
            # For a moment of its end a start is on no list any more, and its owner may ask for it.
            self.ended.add(kernel_id, owner)
            self._tasks[kernel_id] = asyncio.ensure_future(self._stop(kernel_id, now, start, owner, by))
        await asyncio.shield(self._tasks[kernel_id])

    async def finish(self) -> None:
        """Wait until all that are under way have come to their end."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    @contextmanager
    def culling(self, kernel_id: str, reason: str) -> Iterator[None]:
        """Have a stop of the kernel that is begun and ends meanwhile be for `reason`, which its clients are told."""
        self._reasons[kernel_id] = reason
        try:
            yield
        finally:
            self._reasons.pop(kernel_id, None)

    def add_zombie(self, kernel: GatewayKernel, reason: str) -> None:
        """Kill the kernel again and again, until nothing is left of it."""
        retry = partial(self._kill_zombie, kernel)
        self._host.lives.became_zombie(kernel, reason)
        self.zombies.add(
            Zombie(kernel.kernel_id, kernel.kernel_name, kernel.pid, datetime.now(timezone.utc), reason, retry)
        )

    async def _stop(
        self, kernel_id: str, now: bool, start: asyncio.Task[None] | None, owner: str, by: GatewayUser | None
    ) -> None:
        """Stop the kernel, or its `start` if that has not come to a launch yet."""
        stopping = self._host.lives.stopping(kernel_id, self._host.listed(kernel_id), owner, by)
        try:
            if start is not None:
                start.cancel()
                await asyncio.wait([start])
            if kernel_id in self._host:
                await self.end(self._host.get_kernel(kernel_id), now)
        finally:
            self._host.unlist(kernel_id)
            self._tasks.pop(kernel_id, None)
            reason = self._reasons.get(kernel_id, "")
            self.ended.add(kernel_id, owner, reason)
            self._host.lives.stopped(stopping, reason)

    async def end(self, kernel: GatewayKernel, now: bool = False) -> None:
        """Shut down a kernel, listed or not, whatever goes wrong; what lives on is a zombie."""
        host, kernel_id = self._host, kernel.kernel_id
        host.log.info("Kernel shutdown: %s", kernel_id)
        try:
            kernel.recorder.write_if_possible(STOPPING)
            host.failpoints.reached("stop: recorded")
            host.stop_following(kernel_id)
            is_gone, reason = await kernel.termination.shut_down(now), "it outlives SIGKILL, or may not be signalled"
        except Exception as error:
            host.log.exception("Shutting down kernel %s failed", kernel_id)
            is_gone, reason = not kernel.has_kernel, str(error)
        host.failpoints.reached("stop: cleaned")
        if is_gone:
            await host.supplies.clusters.gave_back(kernel_id)
            host.supplies.forget(kernel_id)
            return
        await self._end_applications(kernel_id)
        self.add_zombie(kernel, reason)

    async def _end_applications(self, kernel_id: str) -> None:
        """Have the master take the cores of a kernel that can't be ended; they are held as long as it shows them."""
        clusters = self._host.supplies.clusters
        if await clusters.end_applications(kernel_id):
            clusters.release(kernel_id)

    async def _kill_zombie(self, kernel: GatewayKernel) -> bool:
        """Called again and again until it returns True."""
        if not await kernel.termination.kill():
            await self._end_applications(kernel.kernel_id)
            return False
        await self._host.supplies.clusters.gave_back(kernel.kernel_id)
        return True
