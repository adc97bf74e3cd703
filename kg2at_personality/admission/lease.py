"""A lease: the cores that one kernel was admitted with, and how much of them the master grants already.

A kernel is admitted before it takes anything: it registers its application with the master when its user first
touches Spark. Until then the master shows those cores as free, and only the lease says that they are reserved. What the
master still has to grant of a lease is outstanding.

A lease is `promised` until the kernel's first application shows, `running` while one is active, and `resting` after
`sc.stop()`: then the cores are everybody's, until the kernel's next application appears. Each answer of the master says
anew which it is; nothing is counted up or down.

An application with dynamic allocation is *elastic*: it gives executors back when it has been idle, and takes others for
its next job. Its lease follows it. Once the application has given cores back, the lease reserves of them what the tasks
of its present job can use: nothing while there is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..spark.cluster import App, AppIdentity, ClusterState, ExecutorRequest, limited, missing, needed, registration
from .kernel_work import KernelWork

PROMISED, RUNNING, RESTING = "promised", "running", "resting"
#: Seconds after a restart in which an application may still be the old process's: a new one takes longer to register.
OVERLAP = 3.0
#: Seconds by which an application may seem to have begun before its kernel was launched: as much as Kerberos allows
#: clocks to differ. The master's clock and ours may differ by any time, but not one that is set meanwhile.
TOLERANCE = 300.0


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """Which applications are a kernel's.

    `identity` tells by name and user (None: the kernel's id ends the name). `since` is when the kernel was launched, by
    the queue's clock; an application that had begun TOLERANCE before is another's.
    """

    kernel_id: str
    identity: AppIdentity | None = None
    since: float = -math.inf

    def holds(self, app: App, asked_at: float) -> bool:
        """Return whether an application of the right name, in an answer of that time, is the kernel's."""
        if self.identity is not None and self.identity.user not in (None, app.user):
            return False
        return app.age_s is None or asked_at - app.age_s >= self.since - TOLERANCE


@dataclass(slots=True)
class Sighting:
    """The applications of one kernel in an answer of the master."""

    active: list[App] = field(default_factory=list)
    completed: set[str] = field(default_factory=set)

    @property
    def ids(self) -> set[str]:
        return {app.id for app in self.active} | self.completed


@dataclass(slots=True, eq=False)
class Lease:
    """The lease of one kernel; `update` reads it anew from each answer of an ALIVE master, `note` what the kernel does.

    `executors` is what it reserves, `cores` what counts for the user's bound, `granted` the cores that the master
    grants, `peak` the most that it has granted to the present application. `outstanding` is what the master still has
    to grant, None if nothing: so while it rests. `is_unsettled`: the master may tell something new at any time.

    A busy kernel lacks an executor since `lacks_since`, and its application waits at the master since `waits_since`, in
    seconds of the queue's clock; None: it does not.
    """

    claim: Claim
    user: str
    executors: ExecutorRequest
    cores: int
    kernel_name: str = ""
    state: str = PROMISED
    granted: int = 0
    peak: int = 0
    app: App | None = None
    work: KernelWork = KernelWork()  # noqa: RUF009 - it is frozen
    outstanding: ExecutorRequest | None = field(init=False)
    outstanding_cores: int = field(init=False)
    is_unsettled: bool = field(init=False)
    lacks_since: float | None = None
    waits_since: float | None = None
    _ignored: set[str] = field(default_factory=set)  # applications of earlier processes
    _unsure: set[str] = field(default_factory=set)  # seen during the overlap only
    _seen: set[str] = field(default_factory=set)  # applications of this process
    _overlap_until: float | None = None  # None: there is no overlap, or it is over

    def __post_init__(self) -> None:
        self._measure(0.0)

    @property
    def kernel_id(self) -> str:
        return self.claim.kernel_id

    @property
    def app_id(self) -> str | None:
        return self.app.id if self.app else None

    @property
    def has_executor(self) -> bool:
        """Whether the master grants it the cores of one executor at least."""
        return self.granted >= self.executors.size

    @property
    def admitted_cores(self) -> int:
        """Cores that the kernel was admitted with."""
        return needed(self.executors)

    @property
    def memory_mib(self) -> int:
        """Memory of its executors, in MiB: their number as its driver tells, else as many as its cores make at least.

        The master tells the cores of an application alone (`JsonProtocol.writeApplicationInfo`, Spark 3.5).
        """
        report = self.work.current
        told = report.executors if report.app_id == self.app_id else 0
        return max(told, self._executors_of(self.granted)) * self.executors.executor_memory_mib

    @property
    def outstanding_memory_mib(self) -> int:
        """Memory of the executors that the master has still to grant at least, in MiB."""
        return self._executors_of(self.outstanding_cores) * self.executors.executor_memory_mib

    def _executors_of(self, cores: int) -> int:
        """Return how many executors so many cores make at least: of no size of their own, one takes what is free."""
        size = self.executors.executor_cores
        return -(-cores // size) if size else min(cores, 1)

    @property
    def used_cores(self) -> int:
        """Cores that the kernel has, or that nobody else may have."""
        if self.executors.is_elastic and self.state == RUNNING:
            return self.granted + self.outstanding_cores
        return 0 if self.state == RESTING else max(self.cores, self.granted)

    @property
    def given_back(self) -> int:
        """Cores of those that it was admitted with which others may have until its application needs them again."""
        if self.state != RESTING and not self._gave_back:
            return 0
        return max(0, self.admitted_cores - self.granted - self.outstanding_cores)

    @property
    def _gave_back(self) -> bool:
        """Whether an elastic application has fewer cores than it had, or does not want those that it never got.

        Dynamic allocation asks for its first executors until a job begins, and then for what the jobs need
        (`ExecutorAllocationManager.initializing`, Spark 3.5).
        """
        if not self.executors.is_elastic or self.state != RUNNING:
            return False
        return self.granted < self.peak or self.work.has_ended_job(self.app_id)

    def note(self, work: KernelWork, now: float) -> bool:
        """Measure by what the kernel does from now on.

        Returns whether the master is to be asked for its sake, and was not before.
        """
        lacked, was_unsettled = self.lacks_since is not None, self.is_unsettled
        if work != self.work:
            self.work = work
            self._measure(now)
        return (self.lacks_since is not None and not lacked) or (self.is_unsettled and not was_unsettled)

    def renew(self, now: float) -> None:
        """Reserve everything again, because the kernel starts again: no application seen so far counts any more.

        One of the old process may turn up for the first time just afterwards, and go. So what is seen within OVERLAP
        seconds only, and never later, does not make this lease rest; nor does what has ended before the first answer.
        """
        self._ignored |= self._seen | self._unsure
        self._seen, self._unsure = set(), set()
        self.state, self.granted, self.peak, self.app, self.work = PROMISED, 0, 0, None, KernelWork()
        self._overlap_until = now + OVERLAP
        self._measure(now)

    def ignore(self, sighting: Sighting) -> None:
        """Count none of these applications: the answer was asked for before the kernel was admitted or restarted."""
        self._ignored |= sighting.ids

    def update(self, sighting: Sighting, asked_at: float) -> None:
        """Read an answer that was asked for at `asked_at`, by the clock of `renew`."""
        active = [app for app in sighting.active if app.id not in self._ignored]
        before = self.state, self.granted, self.app_id
        self._remember({app.id for app in active}, sighting.completed - self._ignored, asked_at)
        self.granted = sum(app.cores for app in active)
        self.app = max(active, key=registration) if active else None
        self.state = RUNNING if active else RESTING if self._seen else PROMISED
        if before[2] != self.app_id:
            self.peak, self.waits_since = 0, None
        self.peak = max(self.peak, self.granted)
        if before != (self.state, self.granted, self.app_id):
            self._measure(asked_at)
        present = sighting.ids
        self._ignored &= present
        self._seen = self._seen & present or set(list(self._seen)[:1])  # one is enough to know that there was one

    def _measure(self, now: float) -> None:
        wanted = limited(self.executors, self.work.current.tasks) if self._gave_back else self.executors
        self.outstanding = None if self.state == RESTING else missing(wanted, self.granted)
        self.outstanding_cores = needed(self.outstanding) if self.outstanding else 0
        self.is_unsettled = self.outstanding is not None or self._may_change
        self.lacks_since = _since(self.lacks_since, self.work.lacks_executor(self.has_executor), now)
        self.waits_since = _since(self.waits_since, not self.has_executor and self._asks, now)

    @property
    def _may_change(self) -> bool:
        """Whether its application may give cores back, or its driver has something that no answer has shown yet."""
        report = self.work.current
        if report.app_id not in ("", self.app_id):
            return True
        return self.executors.is_elastic and self.state == RUNNING and (self.granted > 0 or report.executors > 0)

    @property
    def _asks(self) -> bool:
        """Whether its application is registered and wants executors that it has not got.

        With dynamic allocation and none at first it wants none before its first job.
        """
        if self.state != RUNNING or not self.outstanding:
            return False
        return self.executors.initial_executors != 0 or not self.work.is_jobless

    def _remember(self, active: set[str], completed: set[str], asked_at: float) -> None:
        """Tell the applications of this process from those that may be of the one before."""
        if self._overlap_until is None:
            self._seen |= active | completed
            return
        if not self._unsure:
            self._ignored |= completed  # maybe before the first answer
        if asked_at < self._overlap_until:
            self._unsure |= active
            self._ignored |= completed
        else:
            self._seen |= active
            self._ignored |= self._unsure - active
            self._unsure, self._overlap_until = set(), None


def _since(before: float | None, is_so: bool, now: float) -> float | None:
    """Return since when it is so, None if it is not; `before` is the same of the last time."""
    if not is_so:
        return None
    return now if before is None else before


def sightings(state: ClusterState, claims: Iterable[Claim], asked_at: float) -> Mapping[Claim, Sighting]:
    """Return the applications of each claim in an answer of that time. The cost is that of reading all names once."""
    found = {claim: Sighting() for claim in claims}
    named, unnamed = _by_name(found)
    for app in state.apps:
        for claim in named.get(app.name, ()) if not unnamed else _candidates(app, named, unnamed):
            if claim.holds(app, asked_at):
                found[claim].active.append(app)
    for app in state.completed:
        for claim in named.get(app.name, ()) if not unnamed else _candidates(app, named, unnamed):
            if claim.holds(app, asked_at):
                found[claim].completed.add(app.id)
    return found


_Claims = dict[str, list[Claim]]


def _by_name(claims: Iterable[Claim]) -> tuple[_Claims, _Claims]:
    """Return the claims by the names of their applications, and those without an identity by their kernels' ids."""
    named: _Claims = {}
    unnamed: _Claims = {}
    for claim in claims:
        if claim.identity is not None:
            named.setdefault(claim.identity.name, []).append(claim)
        else:
            unnamed.setdefault(claim.kernel_id, []).append(claim)
    return named, unnamed


def _candidates(app: App, named: _Claims, unnamed: _Claims) -> list[Claim]:
    """Return the claims that the application's name may satisfy."""
    return named.get(app.name, []) + unnamed.get(app.name.rpartition(" ")[2], [])
