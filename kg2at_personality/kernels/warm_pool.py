"""The kernels that wait for users: who gets one, and what is there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from ..state.failpoints import Failpoints
from .kernel import GatewayKernel
from .start import Start
from .stops import Stops
from .supplies import Supplies
from .waiting_kernel import WaitingKernel

#: Different reasons that are counted; values of clients may be part of them.
MOST_REASONS, OTHER_REASONS = 50, "other reasons"


class PoolHost(Protocol):
    """A manager, as the pool sees it."""

    supplies: Supplies
    failpoints: Failpoints

    def cwd_of(self, arguments: Mapping[str, Any]) -> str | None: ...


class WarmPool:
    """Holds them. Each is handed out once: a claim takes it from all others before anything is awaited."""

    def __init__(self, host: PoolHost, stops: Stops) -> None:
        self._host, self._stops = host, stops
        self._free: dict[str, WaitingKernel] = {}
        self._claimed: dict[str, WaitingKernel] = {}
        self._ends: dict[GatewayKernel, asyncio.Future[None]] = {}
        self._handed_out = 0
        self._missed: Counter[str] = Counter()

    @property
    def free(self) -> list[WaitingKernel]:
        """Return those that nobody has claimed."""
        return list(self._free.values())

    def __contains__(self, kernel_id: object) -> bool:
        """Return whether one has this id, also one that is about to end."""
        ending = (kernel.kernel_id for kernel in self._ends)
        return kernel_id in (*self._free, *self._claimed, *ending)

    def count(self, kernel_name: str) -> int:
        """Return how many there are of a kernelspec; a claim may be given back."""
        waiting = (*self._free.values(), *self._claimed.values())
        return sum(each.kernel.kernel_name == kernel_name for each in waiting)

    def add(self, waiting: WaitingKernel) -> None:
        """Offer one from now on."""
        self._free[waiting.kernel_id] = waiting

    # Claims.

    async def claim(self, start: Start) -> WaitingKernel | None:
        """Return one that can serve the start, and is its own from now on; None when there is none.

        `start.warm_reason` says why then. Raises what a launch by the plan of the start would raise.
        """
        #: By id, and by kernelspec: what one does not fit, another that was started by the same does not, either.
        misfits: dict[str, str] = {}
        while not start.warm_reason and (waiting := self._next(start, misfits)) is not None:
            self._claimed[waiting.kernel_id] = self._free.pop(waiting.kernel_id)
            waiting.is_claimed = True
            try:
                lives = await waiting.lives()
                misfit = await self._misfit(start, waiting) if lives else "the kernel that waited has died"
            except BaseException:
                self.give_back(waiting)
                raise
            if not misfit:
                self._host.failpoints.reached("hand-out: claimed")
                return waiting
            self.give_back(waiting)
            # A change of the configuration may be the reason.
            waiting.is_doubted = True
            misfits[waiting.kernel.kernel_name if lives else waiting.kernel_id] = misfit
        start.warm_reason = start.warm_reason or next(iter(misfits.values()), "") or self._why_none(start)
        return None

    def _next(self, start: Start, misfits: Mapping[str, str]) -> WaitingKernel | None:
        """Return the best that there is of the kind: the oldest that is ready, else one that is being warmed up."""
        fitting = [each for each in self._free.values() if not {each.kernel_id, each.kernel.kernel_name} & {*misfits}]
        kind = [each for each in fitting if each.has_answered and _is_of_kind(each, start)]
        return min(kind, key=lambda each: not each.is_ready, default=None)

    async def _misfit(self, start: Start, waiting: WaitingKernel) -> str:
        if start.plan is None:
            return "only kg2at's own kernels wait for users"
        env = self._host.supplies.environment(waiting.kernel_id, start.requested, start.user.name)
        return await waiting.kernel.kind.misfit(start.plan, env, self._host.cwd_of(start.arguments))

    def _why_none(self, start: Start) -> str:
        if start.plan is None:
            return "only kg2at's own kernels wait for users"
        if any(_is_of_kind(each, start) for each in self._free.values()):
            return "the next kernel that waits was still starting"
        return "no kernel of this kind was waiting"

    def give_back(self, waiting: WaitingKernel) -> None:
        """Let others claim it again. Only for one to which nothing has been handed."""
        waiting.is_claimed = False
        self._free[waiting.kernel_id] = self._claimed.pop(waiting.kernel_id)

    def take(self, waiting: WaitingKernel) -> None:
        """Called when a claimed one is handed out: it does not wait any more, whatever comes of that."""
        del self._claimed[waiting.kernel_id]

    def note(self, start: Start) -> None:
        """Count a start that has come to its end."""
        reason = start.warm_reason
        if not reason:
            self._handed_out += 1
        elif reason in self._missed or len(self._missed) < MOST_REASONS:
            self._missed[reason] += 1
        else:
            self._missed[OTHER_REASONS] += 1

    # Ends.

    def end(self, waiting: WaitingKernel) -> asyncio.Future[None]:
        """End one; it can't be claimed from now on. Whoever has claimed it gives it up by that."""
        for by_id in (self._free, self._claimed):
            by_id.pop(waiting.kernel_id, None)
        end = self._ends[waiting.kernel] = asyncio.ensure_future(waiting.end(self._stops.end))
        end.add_done_callback(partial(self._forget_end, waiting.kernel))
        return end

    def _forget_end(self, kernel: GatewayKernel, end: asyncio.Future[None]) -> None:
        self._ends.pop(kernel, None)

    def end_all(self) -> dict[GatewayKernel, asyncio.Future[None]]:
        """End all of them. Return those that end, earlier ones too."""
        for waiting in (*self._free.values(), *self._claimed.values()):
            self.end(waiting)
        return dict(self._ends)

    # The status.

    def status(self) -> dict[str, Any]:
        """Return what there is, how many were handed out, and how often there was none, by reason."""
        waiting = sorted((*self._free.values(), *self._claimed.values()), key=lambda each: each.kernel.since)
        rows = [each.row() for each in waiting]
        return {"kernels": rows, "handed_out": self._handed_out, "missed": dict(self._missed)}


def _is_of_kind(waiting: WaitingKernel, start: Start) -> bool:
    plan = waiting.kernel.plan
    return plan is not None and start.plan is not None and type(plan.runtime) is type(start.plan.runtime)
