"""Whoever waits, and what can be said against it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..errors import KG2ATError
from ..spark.cluster import ClusterState, ExecutorRequest
from ..spark.placement import IdleCluster
from .lease import Claim, Lease
from .messages import needs, never_fits, share_used
from .policy import AdmissionRequest


@dataclass(slots=True, eq=False)
class Waiter:
    """One in the queue since `since`, in seconds of the queue's clock.

    `cores` count for the user's share. `examined`: an answer has been held against it, and it may wait.
    """

    request: AdmissionRequest
    promise: ExecutorRequest
    cores: int
    since: float
    admitted: asyncio.Future[None]
    timer: asyncio.TimerHandle | None = None
    examined: bool = False
    claim: Claim = field(init=False)  # to what an earlier kernel with the same id had

    def __post_init__(self) -> None:
        self.claim = Claim(self.request.kernel_id, self.request.application)

    def __str__(self) -> str:
        request = self.request
        return f"kernel {request.kernel_id} ({request.kernel_name!r} of {request.user!r}). {needs(self.promise)}"


class Shares:
    """Cores that each user's notebooks have, are promised, or wait for ahead of the one looked at."""

    def __init__(self, bound: int, leases: Iterable[Lease]) -> None:
        self._bound = bound
        self._used: dict[str, int] = {}
        for lease in leases:
            self._used[lease.user] = self._used.get(lease.user, 0) + lease.used_cores

    def add(self, waiter: Waiter) -> None:
        """The next one is behind this one."""
        user = waiter.request.user
        self._used[user] = self._used.get(user, 0) + waiter.cores

    def refuse(self, waiter: Waiter) -> KG2ATError | None:
        """The error if it is too much. Who waits already was within the bound when it came."""
        user = waiter.request.user
        used = self._used.get(user, 0)
        if waiter.examined or not self._bound or used + waiter.cores <= self._bound:
            return None
        return share_used(waiter.cores, used, self._bound, user)


class Verdicts:
    """What one answer says of requests that it can never grant."""

    def __init__(self, answer: ClusterState) -> None:
        self._idle = IdleCluster(answer)

    def refuse(self, waiter: Waiter) -> KG2ATError | None:
        """The error if it fits nowhere."""
        return None if self._idle.fits(waiter.promise) else never_fits(waiter.promise, self._idle.state.workers)
