"""A kernel that waits for a user: launched, warmed up, and in no list of the manager's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ..errors import KernelDied
from .kernel import GatewayKernel
from .plan_files import PlanFiles

#: What it does, as the status has it.
STARTING, WARMING, READY, CLAIMED = "starting", "warming", "ready", "claimed"


class WaitingKernel:
    """One of them. `files` are those that its plan was made from; `is_doubted`: they may have changed all the same."""

    def __init__(self, kernel: GatewayKernel, files: PlanFiles) -> None:
        self.kernel, self.files = kernel, files
        self.is_claimed = self.is_doubted = False
        self._does = STARTING
        self._restarts = kernel.autorestart
        #: One that dies is replaced, and not restarted.
        kernel.waits, kernel.autorestart = True, False

    @property
    def kernel_id(self) -> str:
        """Return the id that it keeps when it is handed out."""
        return self.kernel.kernel_id

    @property
    def state(self) -> str:
        """Return what it does."""
        return CLAIMED if self.is_claimed else self._does

    @property
    def age(self) -> float:
        """Return for how many seconds it has been there."""
        return (datetime.now(timezone.utc) - self.kernel.since).total_seconds()

    @property
    def has_answered(self) -> bool:
        """Return whether its process has answered, so that it can be handed out."""
        return self._does != STARTING

    @property
    def is_ready(self) -> bool:
        """Return whether it is warmed up."""
        return self._does == READY

    async def lives(self) -> bool:
        """Return whether its process has not died."""
        return not self.kernel.is_dead and (not self.has_answered or bool(await self.kernel.is_alive()))

    # Its start.

    def begin(self, launch_args: dict[str, Any]) -> None:
        """Start it. Called once."""
        self._launch = asyncio.ensure_future(self._launch_process(launch_args))
        self._warm_up = asyncio.ensure_future(self._warm())

    async def _launch_process(self, launch_args: dict[str, Any]) -> None:
        await self.kernel.start_kernel(**launch_args)
        self.kernel.startup.watch()

    async def _warm(self) -> None:
        await asyncio.shield(self._launch)
        await self.kernel.answered()
        await self.kernel.startup.finished()
        self._does = WARMING
        if not await self.kernel.kind.warm_up(self.kernel.own_client):
            raise KernelDied("The kernel died while it was warmed up.")
        self._does = READY

    async def problem(self, limit: float) -> str:
        """Wait until it is ready, or is handed out. Return what came in between, also after `limit` seconds."""
        await asyncio.wait([self._warm_up], timeout=limit)
        if not self._warm_up.done():
            return f"The kernel was not ready after {limit:g} s."
        error = None if self._warm_up.cancelled() else self._warm_up.exception()
        return "" if error is None else str(error)

    async def stop_warming(self) -> None:
        """Called when its user is there. Whatever it is about to be warmed with is left out."""
        self._warm_up.cancel()
        await asyncio.wait([self._warm_up])

    # Its end as one that waits.

    def become(self, kernel_name: str, launch_args: dict[str, Any]) -> GatewayKernel:
        """Make it a user's; its next start is that of any kernel. Return it."""
        kernel = self.kernel
        kernel.waits, kernel.autorestart = False, self._restarts
        kernel.kernel_name = kernel_name
        kernel.since = kernel.cores_since = datetime.now(timezone.utc)
        kernel.provisioner.kernel_spec = kernel.kernel_spec
        kernel.resume(launch_args)
        return kernel

    async def end(self, end_kernel: Callable[[GatewayKernel], Any]) -> None:
        """End it by `end_kernel`, after a launch that is under way."""
        self._warm_up.cancel()
        await asyncio.wait([self._launch, self._warm_up])
        if self._launch.exception() is not None:
            await self.kernel.termination.discard()
        await end_kernel(self.kernel)

    def row(self) -> dict[str, Any]:
        """Return what the status shows of it."""
        kernel = self.kernel
        about = {"kernel_id": kernel.kernel_id, "name": kernel.kernel_name, "state": self.state}
        return about | {"since": kernel.since, "pid": kernel.pid}
