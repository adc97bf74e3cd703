"""Starts the kernels that wait for users, one at a time, and replaces those that no user should get any more."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from logging import Logger
from typing import Any, Protocol

from ..errors import KG2ATError
from ..plural import span
from ..system.memory import free_memory, memory_of
from .kernel import GatewayKernel
from .launch_failure import SYSTEM_ERRORS
from .plan_files import PlanFiles
from .specs import SparkKernelSpecManager
from .supplies import Supplies
from .timing import Timing
from .waiting_kernel import WaitingKernel
from .warm_demand import WarmDemand
from .warm_pool import WarmPool

MIB = 1024 * 1024


class RefillHost(Protocol):
    """A manager, as the refill of its pool sees it. `is_starting_any`: a user's kernel, which goes first."""

    supplies: Supplies
    kernel_spec_manager: SparkKernelSpecManager
    connection_dir: str
    timing: Timing
    log: Logger

    @property
    def is_starting_any(self) -> bool: ...
    def living_kernels(self) -> list[GatewayKernel]: ...
    def new_kernel_id(self) -> str: ...
    def make_kernel(self, kernel_id: str, kernel_name: str, connection_file: str) -> GatewayKernel: ...
    def launch_args(self, kernel_id: str, env: dict[str, str], cwd: str | None) -> dict[str, Any]: ...


@dataclass(frozen=True)
class _Failure:
    """So many starts of one kernelspec have failed since one waited long; it is tried again at `until` (monotonic)."""

    count: int
    until: float
    message: str


class WarmRefill:
    """Keeps the pool at what is wanted, by a look every few seconds. `paused` says why it starts none now."""

    def __init__(self, host: RefillHost, pool: WarmPool, demand: WarmDemand) -> None:
        self._host, self._pool, self._demand = host, pool, demand
        self._failures: dict[str, _Failure] = {}
        self._busy_until = 0.0
        self._task: asyncio.Task[None] | None = None
        self.paused = "the gateway has just begun"

    def open(self) -> None:
        """Begin. Called when the gateway serves; idempotent."""
        if self._task is None:
            self.note_start()
            for warning in self._demand.warnings():
                self._host.log.warning("%s", warning)
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Start none any more. Those that there are stay. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def note_start(self) -> None:
        """Called when a user wants a kernel: the next one that waits is started a while after."""
        self._busy_until = self._now() + self._host.timing.warm_quiet

    async def _run(self) -> None:
        timing = self._host.timing
        pause = timing.warm_look
        while True:
            await asyncio.sleep(pause)
            try:
                await self._replace_unfit()
                while (name := await self._next_name()) is not None:
                    await self._add(name)
                pause = timing.warm_look
            except Exception:
                pause = min(2 * pause, timing.longest_warm_retry)
                self._host.log.exception("The kernels that wait for users can't be looked after; it is tried again")

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    # Whether one may be started.

    async def _next_name(self) -> str | None:
        """Return the kernelspec of the next one to start; None, with `paused`, when none is to be started now."""
        wanted = self._demand.counts()
        lacking = [name for name, count in wanted.items() if self._pool.count(name) < count]
        self.paused = self._demand.why_none()
        for name in lacking:
            self.paused = self._users_first() or self._why_tried_later(name) or await self._memory_lack(name)
            if not self.paused:
                return name
        return None

    def _users_first(self) -> str:
        is_starting = self._host.is_starting_any or any(map(self._is_beginning, self._host.living_kernels()))
        if is_starting:
            self.note_start()
        is_busy = is_starting or self._now() < self._busy_until
        return "kernels of users are starting, or were a moment ago" if is_busy else ""

    def _is_beginning(self, kernel: GatewayKernel) -> bool:
        """Return whether it runs one of its first cells."""
        age = datetime.now(timezone.utc) - kernel.since
        return kernel.execution_state == "busy" and age.total_seconds() < self._host.timing.first_cells

    def _why_tried_later(self, name: str) -> str:
        failure = self._failures.get(name)
        left = failure.until - self._now() if failure is not None else 0.0
        return f"the next try is in {span(left)}. {failure.message}" if failure is not None and left > 0 else ""

    async def _memory_lack(self, name: str) -> str:
        """Return what is said when one more would take too much of the machine's memory; "" when it would not."""
        free, reserve = await asyncio.to_thread(free_memory), self._demand.options.memory_reserve
        need = await asyncio.to_thread(self._memory_need, name)
        if free is None or not reserve or free // MIB - need >= reserve:
            return ""
        return f"{free // MIB} MiB of memory are free, of which it would take {need} (warm_memory_reserve: {reserve})"

    def _memory_need(self, name: str) -> int:
        """Return the MiB that one takes: those that wait tell, else experience. Blocking."""
        spec = self._host.kernel_spec_manager.own[name.lower()]
        pids = [each.kernel.pid for each in self._pool.free if each.is_ready and each.kernel.kernel_name == name]
        seen = [found // MIB for pid in pids if pid is not None and (found := memory_of(pid))]
        return max(seen, default=spec.kind.waiting_mib)

    # Starting one.

    async def _add(self, name: str) -> None:
        """Start one, and wait until it is ready, or is handed out."""
        try:
            waiting = await self._begin(name)
        except (KG2ATError, *SYSTEM_ERRORS) as error:
            self._note_failure(name, str(error))
            return
        problem = await waiting.problem(self._host.timing.warm_start_limit)
        if problem and waiting in self._pool.free:
            self._note_failure(name, problem)
            await asyncio.shield(self._pool.end(waiting))

    async def _begin(self, name: str) -> WaitingKernel:
        host, kernel_id = self._host, self._host.new_kernel_id()
        # As if for a client that says nothing of itself: it may hold nobody's secrets.
        env = host.supplies.environment(kernel_id, {})
        plan = await host.supplies.plan(name, env)
        if plan is None:
            raise KG2ATError(f"The kernelspec {name} is not one of kg2at's.")
        files = await asyncio.to_thread(PlanFiles, plan)
        path = os.path.join(host.connection_dir, f"kernel-{kernel_id}.json")
        kernel = host.make_kernel(kernel_id, name, path)
        kernel.plan, kernel.requested = plan, {}
        waiting = WaitingKernel(kernel, files)
        self._pool.add(waiting)
        waiting.begin(host.launch_args(kernel_id, env, None))
        host.log.debug("Kernel %s (%s) is started to wait for a user", kernel_id, name)
        return waiting

    def _note_failure(self, name: str, message: str) -> None:
        """Try again later, each time after twice as long. The log tells the same only once."""
        last, timing = self._failures.get(name), self._host.timing
        count = last.count + 1 if last is not None else 1
        pause = min(timing.warm_retry * 2 ** min(count - 1, 30), timing.longest_warm_retry)
        self._failures[name] = _Failure(count, self._now() + pause, message)
        if last is None:
            self._host.log.error("No kernel %s waits for users, and it is tried again: %s", name, message)

    # Replacing those that there are.

    async def _replace_unfit(self) -> None:
        for waiting in self._pool.free:
            kernel = waiting.kernel
            reason = "" if await waiting.lives() else "its process has died"
            if reason:
                self._note_failure(kernel.kernel_name, f"The kernel that waited died {await kernel.console.ending()}")
            elif waiting.age > self._host.timing.longest_warm_retry:
                self._failures.pop(kernel.kernel_name, None)
            reason = reason or self._too_many_or_old(waiting) or await self._staleness(waiting)
            if reason and waiting in self._pool.free:
                self._host.log.info("Kernel %s, which waits for a user, is ended: %s", waiting.kernel_id, reason)
                await asyncio.shield(self._pool.end(waiting))

    def _too_many_or_old(self, waiting: WaitingKernel) -> str:
        name, most = waiting.kernel.kernel_name, self._demand.options.max_age
        if self._pool.count(name) > self._demand.counts().get(name, 0):
            return "fewer are to wait now"
        return f"it is older than {span(most)} (warm_max_age)" if most and waiting.age > most else ""

    async def _staleness(self, waiting: WaitingKernel) -> str:
        """Return why a new one would be another than this one; "" when it would not, or none can be started."""
        if not waiting.is_doubted and not await asyncio.to_thread(waiting.files.have_changed):
            return ""
        kernel, supplies = waiting.kernel, self._host.supplies
        waiting.is_doubted = False
        env = supplies.environment(waiting.kernel_id, {})
        try:
            plan = await supplies.plan(kernel.kernel_name, env)
            if plan is None:
                return "its kernelspec is not one of kg2at's"
            waiting.files = await asyncio.to_thread(PlanFiles, plan)
            return await kernel.kind.misfit(plan, env, None)
        except KG2ATError:
            # Until it is mended none can be started, and what is there is as good as ever.
            await asyncio.to_thread(waiting.files.look)
            return ""
