"""What one kernel was promised, and what of it the master grants already."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..spark.cluster import App, AppIdentity, ClusterState, ExecutorRequest, missing, needed

PROMISED, RUNNING, RESTING = "promised", "running", "resting"
AFTERLIFE = 3.0  # s after a restart in which an application may still be the old kernel's: a new one takes longer
#: s by which an application may seem to have begun before its kernel was launched: as much as Kerberos allows clocks
#: to differ. The master's clock and ours may differ by any time, but one that is set meanwhile makes a difference.
TOLERANCE = 300.0


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """Which applications are a kernel's: `identity` tells (None: the kernel's id at the end of the name), and the time.

    `since` is when it was launched, by the queue's clock; an application that had begun TOLERANCE before is another's.
    """

    kernel_id: str
    identity: AppIdentity | None = None
    since: float = -math.inf

    def holds(self, app: App, asked_at: float) -> bool:
        """Whether an application of the right name, in an answer of that time, is the kernel's."""
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
    """Nothing in it is counted up or down: `settle` reads it anew from each answer of an ALIVE master.

    `promise` is what was admitted, `cores` counts for the user's share, `granted` is what the master grants, in cores.
    `rest` is what the master still has to grant: all of it before the first application, nothing while it rests.
    """

    claim: Claim
    user: str
    promise: ExecutorRequest
    cores: int
    state: str = PROMISED
    granted: int = 0
    app_id: str | None = None
    rest: ExecutorRequest | None = field(init=False)
    rest_cores: int = field(init=False)
    _old: set[str] = field(default_factory=set)  # applications of earlier lives
    _doubtful: set[str] = field(default_factory=set)  # seen in the afterlife only
    _seen: set[str] = field(default_factory=set)
    _doubt_until: float | None = None  # None: no afterlife, or it is over

    def __post_init__(self) -> None:
        self._measure()

    @property
    def kernel_id(self) -> str:
        return self.claim.kernel_id

    @property
    def used_cores(self) -> int:
        """Cores that the kernel has, or that nobody else may have."""
        return 0 if self.state == RESTING else max(self.cores, self.granted)

    def renew(self, now: float) -> None:
        """The kernel starts again: all is promised anew, and no application seen so far counts any more.

        One of the old life may turn up for the first time just afterwards, and go. So what is seen within
        AFTERLIFE seconds only, and never later, ends no new life; nor does what has ended before the first answer.
        """
        self._old |= self._seen | self._doubtful
        self._seen, self._doubtful = set(), set()
        self.state, self.granted, self.app_id = PROMISED, 0, None
        self._doubt_until = now + AFTERLIFE
        self._measure()

    def forget(self, sighting: Sighting) -> None:
        """An answer that was asked for before this life, which began by admission or renewal: all in it is older."""
        self._old |= sighting.ids

    def settle(self, sighting: Sighting, asked_at: float) -> None:
        """Read an answer that was asked for at `asked_at`, by the clock of `renew`."""
        active = [app for app in sighting.active if app.id not in self._old]
        before = self.state, self.granted
        self._remember({app.id for app in active}, sighting.completed - self._old, asked_at)
        self.granted = sum(app.cores for app in active)
        self.app_id = active[-1].id if active else None
        self.state = RUNNING if active else RESTING if self._seen else PROMISED
        if before != (self.state, self.granted):
            self._measure()
        present = sighting.ids
        self._old &= present
        self._seen = self._seen & present or set(list(self._seen)[:1])  # one is enough to know that there was one

    def _measure(self) -> None:
        self.rest = None if self.state == RESTING else missing(self.promise, self.granted)
        self.rest_cores = needed(self.rest) if self.rest else 0

    def _remember(self, active: set[str], completed: set[str], asked_at: float) -> None:
        """Tell the applications of this life from those that may be of the one before."""
        if self._doubt_until is None:
            self._seen |= active | completed
            return
        if not self._doubtful:
            self._old |= completed  # maybe before the first answer
        if asked_at < self._doubt_until:
            self._doubtful |= active
            self._old |= completed
        else:
            self._seen |= active
            self._old |= self._doubtful - active
            self._doubtful, self._doubt_until = set(), None


def sightings(state: ClusterState, claims: Iterable[Claim], asked_at: float) -> Mapping[Claim, Sighting]:
    """The applications of each claim in an answer of that time. The cost is that of reading all names once."""
    found = {claim: Sighting() for claim in claims}
    named, unnamed = _by_name(found)
    for app in state.apps:
        for claim in named.get(app.name, ()) if not unnamed else _claims(app, named, unnamed):
            if claim.holds(app, asked_at):
                found[claim].active.append(app)
    for app in state.completed:
        for claim in named.get(app.name, ()) if not unnamed else _claims(app, named, unnamed):
            if claim.holds(app, asked_at):
                found[claim].completed.add(app.id)
    return found


_Claims = dict[str, list[Claim]]


def _by_name(claims: Iterable[Claim]) -> tuple[_Claims, _Claims]:
    """The claims by the names of their applications; those without one by their kernels' ids."""
    named: _Claims = {}
    unnamed: _Claims = {}
    for claim in claims:
        if claim.identity is not None:
            named.setdefault(claim.identity.name, []).append(claim)
        else:
            unnamed.setdefault(claim.kernel_id, []).append(claim)
    return named, unnamed


def _claims(app: App, named: _Claims, unnamed: _Claims) -> list[Claim]:
    """Those that the application's name may satisfy."""
    return named.get(app.name, []) + unnamed.get(app.name.rpartition(" ")[2], [])
