"""Who of those that wait may start now. Pure: no clock, no network, no futures, no log.

A waiter is a kernel that has asked for its cores and is not admitted yet. `decide` holds the waiters, in the order of
the waiting list (first come, first served, or one of each user in turn), against what the master answered and what the
leases reserve: a waiter is admitted, refused with the reason, or goes on waiting. The order is strict: behind the first
one that has to wait nobody is admitted, even if it would fit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import KG2ATError, MasterUnreachable, StillUnreachable
from ..spark.cluster import ClusterState, ExecutorRequest, capacity, check, needed
from ..spark.placement import IdleCluster, rooms
from .headroom import Headroom
from .lease import Claim, Lease
from .messages import RETRY_AFTER, above_share, busy, never_fits, queue_full, share_used
from .policy import AdmissionPolicy
from .request import AdmissionRequest

TURN = 50  # waiters that one call of `decide` examines at most, so that the event loop is not kept for long


@dataclass(slots=True, eq=False)
class Waiter:
    """A kernel that waits for its cores since `since`, in seconds of the queue's clock.

    `executors` is what its lease will reserve, `cores` what counts for its user's bound (AdmissionPolicy.user_bound).
    `examined`: an earlier answer was held against it, and it may wait.
    """

    request: AdmissionRequest
    executors: ExecutorRequest
    cores: int
    since: float
    examined: bool = False
    claim: Claim = field(init=False)  # to applications of an earlier kernel with the same id

    def __post_init__(self) -> None:
        self.claim = Claim(self.request.kernel_id, self.request.application)


# What is decided.


@dataclass(frozen=True, slots=True)
class Admit:
    """The waiter gets its lease. `unchecked` says why nobody knows whether it finds its cores, None if it does."""

    waiter: Waiter
    unchecked: MasterUnreachable | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """The waiter's client gets the error."""

    waiter: Waiter
    error: KG2ATError


@dataclass(frozen=True, slots=True)
class Wait:
    """The waiter, which was not examined before, waits from now on.

    `ahead` of it are so many: waiters, and applications of kernels that wait at the master.
    """

    waiter: Waiter
    ahead: int


Decision = Admit | Refuse | Wait


@dataclass(slots=True)
class Decisions:
    """In the order of the queue. Those who waited already and go on waiting are not in it.

    `is_complete` is False when waiters are left to examine: apply these, and call `decide` again.
    """

    made: list[Decision]
    is_complete: bool


# What it is decided by.


class Room(Protocol):
    """Where executors can be reserved, one request after another."""

    def take(self, request: ExecutorRequest, /) -> bool:
        """Reserve the request's executors. Returns whether they can be had."""


class Answer(Protocol):
    """What the master said when it was asked, or that it said nothing."""

    @property
    def failure(self) -> MasterUnreachable | None:
        """Why nobody answered, None if a master did."""

    def room(self, leases: Iterable[Lease], /) -> Room:
        """Return where executors can be reserved beside those of the leases."""

    def too_large(self, executors: ExecutorRequest, /) -> KG2ATError | None:
        """Return the error of a kernel that can never be admitted, None for any other."""

    def busy(self, executors: ExecutorRequest, outstanding: int, ahead: int, /) -> KG2ATError:
        """Return the error of a kernel that can't be admitted now and may not wait; see messages.busy."""


class ClusterAnswer:
    """What a master says of its cluster."""

    failure = None

    def __init__(self, state: ClusterState) -> None:
        self.state, self.capacity = state, capacity(state)
        self._free, self._idle = rooms(state), IdleCluster(state)

    def room(self, leases: Iterable[Lease]) -> Headroom:
        return Headroom(self._free, [lease.outstanding for lease in leases if lease.outstanding])

    def too_large(self, executors: ExecutorRequest) -> KG2ATError | None:
        return None if self._idle.fits(executors) else never_fits(executors, self._idle.state.workers)

    def busy(self, executors: ExecutorRequest, outstanding: int, ahead: int) -> KG2ATError:
        return busy(executors, self.state.status, self.capacity, outstanding, ahead)


class NoAnswer:
    """No master gave an answer. `admits`: kernels start all the same (the policy `master_unreachable`)."""

    def __init__(self, failure: MasterUnreachable, admits: bool) -> None:
        self.failure, self._admits = failure, admits

    def room(self, _leases: Iterable[Lease]) -> Room:
        return self

    def take(self, _request: ExecutorRequest) -> bool:
        return self._admits

    def too_large(self, _executors: ExecutorRequest) -> KG2ATError | None:
        return None

    def busy(self, _executors: ExecutorRequest, _outstanding: int, _ahead: int) -> KG2ATError:
        return StillUnreachable(self.failure, RETRY_AFTER)


# Deciding.


def check_request(executors: ExecutorRequest, policy: AdmissionPolicy, max_cores: int | None = None) -> None:
    """Raise RequestError for executors that no cluster runs, OutOfBounds for more cores than their user may have.

    `max_cores` as of AdmissionRequest.
    """
    check(executors)
    cores, bound = needed(executors), policy.user_bound(max_cores)
    if bound and cores > bound:
        raise above_share(cores, bound, is_own=max_cores is not None)


def decide(
    answer: Answer,
    leases: Collection[Lease],
    waiters: Collection[Waiter],
    policy: AdmissionPolicy,
    returned: Collection[Lease] = (),
    most: int = TURN,
) -> Decisions:
    """Return what becomes of the waiters, of whom at most `most` are examined.

    `returned` are leases given back since the master was asked: the cluster may still hold their cores, the users not.
    """
    line = _Line(answer, leases, policy, returned, behind=sum(waiter.examined for waiter in waiters))
    made: list[Decision] = []
    examined = 0
    for waiter in waiters:
        line.behind -= waiter.examined
        if waiter.examined and line.waiting:
            line.add(waiter)
            continue
        if examined == most:
            return Decisions(made, is_complete=False)
        examined += 1
        decision = line.decide(waiter)
        if decision is not None:
            made.append(decision)
    return Decisions(made, is_complete=True)


class _Line:
    """The waiters in their order, as far as they have been looked at.

    `waiting` counts those who go on waiting, `behind` those who waited before and have not been looked at.
    The applications that wait at the master are ahead of all of them. They need no rule of their own: what they lack is
    outstanding, and Headroom keeps it for them.
    """

    def __init__(
        self,
        answer: Answer,
        leases: Collection[Lease],
        policy: AdmissionPolicy,
        returned: Collection[Lease],
        behind: int,
    ) -> None:
        self.waiting, self.behind = 0, behind
        self._answer, self._policy = answer, policy
        self._room = answer.room((*leases, *returned))
        self._users = _UserCores(policy, leases)
        self._outstanding = sum(lease.outstanding_cores for lease in leases)
        self._applications = sum(lease.waits_since is not None for lease in leases)

    @property
    def _ahead(self) -> int:
        return self._applications + self.waiting

    def add(self, waiter: Waiter) -> None:
        """Let the waiter go on waiting."""
        self.waiting += 1
        self._users.add(waiter)

    def decide(self, waiter: Waiter) -> Decision | None:
        """Return what becomes of the waiter; None if it goes on waiting as before."""
        error = self._users.refusal(waiter)
        if error is None and not self.waiting and self._room.take(waiter.executors):
            self._users.add(waiter)
            self._outstanding += needed(waiter.executors)
            return Admit(waiter, self._answer.failure)
        error = error or self._answer.too_large(waiter.executors) or self._refusal(waiter)
        if error is not None:
            return Refuse(waiter, error)
        ahead = self._ahead
        self.add(waiter)
        return None if waiter.examined else Wait(waiter, ahead)

    def _refusal(self, waiter: Waiter) -> KG2ATError | None:
        """Return the error of one that is not admitted now and may not wait. Who waits already may go on waiting."""
        if waiter.examined:
            return None
        if self._policy.core_check == "reject" or not self._policy.max_queue:
            return self._answer.busy(waiter.executors, self._outstanding, self._ahead)
        waiting = self.waiting + self.behind
        return queue_full(waiting) if waiting >= self._policy.max_queue else None


class _UserCores:
    """The cores that the kernels of each user hold or wait for. Those without a user count as one user's."""

    def __init__(self, policy: AdmissionPolicy, leases: Iterable[Lease]) -> None:
        self._policy = policy
        self._used: dict[str, int] = {}
        for lease in leases:
            self._used[lease.user] = self._used.get(lease.user, 0) + lease.used_cores

    def add(self, waiter: Waiter) -> None:
        """Count the waiter's cores for those behind it."""
        user = waiter.request.user
        self._used[user] = self._used.get(user, 0) + waiter.cores

    def refusal(self, waiter: Waiter) -> KG2ATError | None:
        """Return the error if it is too much. Who waits already was within the bound when it came."""
        user, own = waiter.request.user, waiter.request.max_cores
        used, bound = self._used.get(user, 0), self._policy.user_bound(own)
        if waiter.examined or not bound or used + waiter.cores <= bound:
            return None
        return share_used(waiter.cores, used, bound, user, is_own=own is not None)
