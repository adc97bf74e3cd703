"""The end of all kernels, when the gateway ends: they end with it, or are left to the next one."""

from __future__ import annotations

import asyncio
from logging import Logger
from typing import Protocol

from .core_watch import CoreWatch
from .kernel import GatewayKernel
from .seed import Seeding
from .spark_jobs import SparkJobs
from .starts import Starts
from .stops import Stops
from .supplies import Supplies
from .warm_pool import WarmPool
from .warm_refill import WarmRefill


class EndHost(Protocol):
    """A manager, as its end sees it."""

    supplies: Supplies
    starts: Starts
    stops: Stops
    seeding: Seeding
    core_watch: CoreWatch
    spark_jobs: SparkJobs
    warm_pool: WarmPool
    warm_refill: WarmRefill
    shutdown_timeout: float
    log: Logger

    def kernels(self) -> list[GatewayKernel]: ...
    async def settle(self) -> None: ...
    async def shutdown_kernel(self, kernel_id: str, now: bool = False) -> None: ...


class GatewayEnd:
    """Ends them, once; a second call finds none. Starts are refused from then on."""

    def __init__(self, host: EndHost) -> None:
        self._host = host

    async def end_all(self) -> None:
        """End every kernel, side by side; one that fails to end keeps no other from it."""
        await self._finish_starts()
        host = self._host
        stops = {each: asyncio.ensure_future(host.shutdown_kernel(each.kernel_id)) for each in host.kernels()}
        await self._wait_for(stops | host.warm_pool.end_all())
        await self._close()

    async def leave_all(self) -> None:
        """Leave those that are users' to the next gateway; those that wait for one end. What is begun goes on first."""
        await self._finish_starts()
        host = self._host
        await self._wait_for(host.warm_pool.end_all())
        await host.stops.finish()
        await host.seeding.end()
        for kernel in host.kernels():
            await kernel.termination.detach()
        await self._close()

    async def _wait_for(self, stops: dict[GatewayKernel, asyncio.Future[None]]) -> None:
        """Wait for stops. What has not ended after `shutdown_timeout` seconds is killed."""
        limit = self._host.shutdown_timeout
        if stops:
            await asyncio.wait(stops.values(), timeout=limit)
        for kernel in [kernel for kernel, stop in stops.items() if not stop.done()]:
            self._host.log.error("Kernel %s has not ended within %g s and is killed", kernel.kernel_id, limit)
            await kernel.termination.kill()
        await asyncio.gather(*stops.values(), return_exceptions=True)

    async def _finish_starts(self) -> None:
        self._host.starts.close()
        await self._host.warm_refill.close()
        await self._host.starts.finish()
        await self._host.settle()

    async def _close(self) -> None:
        await self._host.core_watch.close()
        await self._host.spark_jobs.close()
        await self._host.stops.zombies.close()
        self._host.supplies.ledger.close()
