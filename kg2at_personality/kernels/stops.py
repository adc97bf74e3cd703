"""The end of kernels: one for each, that all who ask for it wait for."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from jupyter_server._tz import utcnow
from jupyter_server.prometheus.metrics import KERNEL_CURRENTLY_RUNNING_TOTAL

from ..state.failpoints import point
from ..state.record import STOPPING
from .kernel import GatewayKernel
from .starts import SupplyingKernelManager
from .zombies import Zombie, Zombies

#: How many ids of ended kernels are remembered, so that a late DELETE of one is no error.
REMEMBERED = 10_000


class StoppingKernelManager(SupplyingKernelManager):
    """Ends kernels, those that are still being started too."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        #: Starts under way, those that wait for cores among them, and the launches that some have come to.
        self._starts: dict[str, asyncio.Task[str]] = {}
        self._launches: dict[str, asyncio.Future[str]] = {}
        #: Ends under way, and the ids of kernels that have ended.
        self._stops: dict[str, asyncio.Future[None]] = {}
        self._ended: dict[str, None] = {}
        self.zombies = Zombies(self.forget, self.log)

    async def shutdown_kernel(self, kernel_id: str, now: bool = False, restart: bool = False) -> None:
        """End a kernel. Whoever asks while that is under way waits for the same end; afterwards it is nothing.

        Returns when its processes are gone and the master has its cores back, or when it has become a zombie. Raises
        tornado's HTTPError 404 for an id that was never a kernel's. Cancelling it stops nothing.
        """
        if kernel_id not in self._stops:
            # An id may be used again, so what runs comes before what is remembered.
            if kernel_id not in self and kernel_id not in self._starts:
                if kernel_id in self._ended:
                    return
                self._check_kernel_id(kernel_id)
            # A launch that shuts down its own kernel (a seed notebook failed) can't be waited for.
            is_own = self._launches.get(kernel_id) is asyncio.current_task()
            start = None if is_own else self._starts.get(kernel_id)
            self._stops[kernel_id] = asyncio.ensure_future(self._stop(kernel_id, now, start))
        await asyncio.shield(self._stops[kernel_id])

    async def _stop(self, kernel_id: str, now: bool, start: asyncio.Task[str] | None) -> None:
        """End the kernel, or its `start` if that has not come to a launch yet."""
        try:
            if start is not None:
                start.cancel()
                await asyncio.wait([start])
            if kernel_id in self:
                await self._end(self._kernels[kernel_id], now)
        finally:
            self._unlist(kernel_id)

    async def _end(self, kernel: GatewayKernel, now: bool) -> None:
        """End the kernel, whatever goes wrong; what lives on is a zombie."""
        kernel_id = kernel.kernel_id
        self.log.info("Kernel shutdown: %s", kernel_id)
        try:
            kernel.note_if_possible(STOPPING)
            point("stop: recorded")
            self.stop_watching_activity(kernel_id)
            self.stop_buffering(kernel_id)
            is_gone, reason = await kernel.end(now), "it outlives SIGKILL, or may not be signalled"
        except Exception as error:
            self.log.exception("Shutting down kernel %s failed", kernel_id)
            is_gone, reason = not kernel.has_kernel, str(error)
        point("stop: cleaned")
        if is_gone:
            await self._gave_back(kernel_id)
            self.forget(kernel_id)
            return
        await self._end_applications(kernel_id)
        self._add_zombie(kernel, reason)

    def _add_zombie(self, kernel: GatewayKernel, reason: str) -> None:
        retry = partial(self._end_zombie, kernel)
        self.zombies.add(Zombie(kernel.kernel_id, kernel.kernel_name, kernel.pid, utcnow(), reason, retry))

    async def _gave_back(self, kernel_id: str) -> None:
        if self.clusters is not None:
            await self.clusters.gave_back(kernel_id)

    async def _end_applications(self, kernel_id: str) -> None:
        """Have the master take the cores of a kernel that can't be ended; they are held as long as it shows them."""
        if self.clusters is not None and await self.clusters.end_applications(kernel_id):
            self.release(kernel_id)

    async def _end_zombie(self, kernel: GatewayKernel) -> bool:
        """Called again and again until it is True."""
        if not await kernel.is_gone():
            await self._end_applications(kernel.kernel_id)
            return False
        await self._gave_back(kernel.kernel_id)
        return True

    def _unlist(self, kernel_id: str) -> None:
        """Take an ended kernel from all lists, and remember its id."""
        kernel = self._kernels.pop(kernel_id, None)
        if kernel is not None:
            KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type=kernel.kernel_name).dec()
        for by_id in (self._pending_kernels, self._kernel_connections, self._kernel_ports, self._stops):
            by_id.pop(kernel_id, None)
        self.remember(kernel_id)

    def remember(self, kernel_id: str) -> None:
        """Know an ended kernel's id, so that ending it again is nothing."""
        self._ended[kernel_id] = None
        while len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
