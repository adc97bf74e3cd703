"""Tells the journal of kernels' lives: what came of each start, restart and stop, and each death once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

from ..spark.cluster import needed
from ..state.record import Admission
from .interfaces import Kernel
from .journal import (
    BecameZombie,
    CoreWaitResult,
    Died,
    Interrupted,
    Journal,
    KernelFacts,
    RestartResult,
    Started,
    StartResult,
    Stopped,
)
from .kernel import GatewayKernel
from .outcomes import DIED, STARTED, STOPPED, Outcome, outcome_of, told_of
from .start import Start
from .supplies import KERNEL_USERNAME, Supplies
from .user import GatewayUser

#: Most characters of a name that an entry has: a client may send any.
MAX_NAME = 255
#: More is what spark.cores.max is where nobody sets it: as many as there are.
MOST_CORES = 2**30


@dataclass(frozen=True)
class Stopping:
    """A stop that has begun; see Stopped. `since` is when it got its cores, None if it has none."""

    kernel: KernelFacts
    by: GatewayUser | None
    had_lived: bool
    since: datetime | None


class Lives:
    """Called where something becomes of a kernel that is a user's, or is to become one's."""

    def __init__(self, supplies: Supplies, journal: Journal) -> None:
        self._supplies, self.journal = supplies, journal
        #: Those whose start has not come to its end, as their client sees it, and those that are being stopped.
        self._starts: dict[str, Start] = {}
        self._stopping: set[str] = set()
        #: By kernel id: which of its launches was told last to have died.
        self._deaths: dict[str, int] = {}

    # A start.

    @contextmanager
    def start(self, start: Start) -> Iterator[None]:
        """Have a start end with the first answer of its kernel, or with what is raised meanwhile."""
        try:
            yield
        except BaseException as error:
            self._end_start(start, outcome_of(error), told_of(error))
            raise
        kernel = start.kernel
        if kernel is None:
            self._end_start(start, STARTED)
            return
        self._starts[start.kernel_id] = start
        kernel.startup.call_when_answered(partial(self._answered, start, kernel))

    def _answered(self, start: Start, kernel: GatewayKernel, answer: asyncio.Future[None]) -> None:
        """Called when it has answered, or never will: it is dead, or was shut down."""
        error = None if answer.cancelled() else answer.exception()
        outcome = STARTED if error is None else DIED if kernel.is_dead else STOPPED
        self._starts.pop(start.kernel_id, None)
        self._end_start(start, outcome, str(error or ""))

    def _end_start(self, start: Start, outcome: Outcome, message: str = "") -> None:
        facts, is_warm = self._facts_of_start(start), not start.warm_reason and start.kernel is not None
        self.journal.tell(StartResult(facts, outcome, message, start.age, is_warm))

    @contextmanager
    def core_wait(self, start: Start) -> Iterator[None]:
        """Tell what comes of a wait for cores; nothing for a kernel that takes none."""
        before = start.age
        try:
            yield
        except BaseException as error:
            if start.plan is not None and start.plan.executors is not None:
                self.journal.tell(CoreWaitResult(self._facts_of_start(start), outcome_of(error), start.age - before))
            raise
        if start.admission is not None:
            self.journal.tell(CoreWaitResult(self._facts_of_start(start), STARTED, start.age - before))

    def started(self, start: Start) -> None:
        """Called when a user has a kernel."""
        self.journal.tell(Started(self._facts_of_start(start), not start.warm_reason))

    # What becomes of it.

    @contextmanager
    def restart(self, kernel: GatewayKernel, by: GatewayUser) -> Iterator[None]:
        """Tell what comes of a restart that a user has asked for."""
        try:
            yield
        except BaseException as error:
            self.journal.tell(RestartResult(self._facts(kernel), outcome_of(error), told_of(error), by.name))
            raise
        self.journal.tell(RestartResult(self._facts(kernel), STARTED, "", by.name))

    @contextmanager
    def interrupt(self, kernel: GatewayKernel) -> Iterator[None]:
        """Tell what comes of an interrupt that a user has asked for."""
        try:
            yield
        except Exception as error:
            self.journal.tell(Interrupted(self._facts(kernel), outcome_of(error), told_of(error)))
            raise
        self.journal.tell(Interrupted(self._facts(kernel), STARTED, ""))

    def died(self, kernel: Kernel, message: str, restarted: int | None = None) -> None:
        """Called when a kernel is dead for good, or when there is a next process: `restarted` is which launch has died.

        No-op for one that waits for a user or is being stopped, and for a death that was told.
        """
        launch = kernel.launches if restarted is None else restarted
        is_told = self._deaths.get(kernel.kernel_id, -1) >= launch
        if is_told or kernel.waits or kernel.kernel_id in self._stopping:
            return
        self._deaths[kernel.kernel_id] = launch
        at_start = kernel.kernel_id in self._starts
        seconds = _seconds_since(kernel.cores_since) if restarted is None else 0.0
        self.journal.tell(Died(self._facts(kernel), message, seconds, restarted is not None, at_start))

    def stopping(self, kernel_id: str, kernel: GatewayKernel | None, owner: str, by: GatewayUser | None) -> Stopping:
        """Called when a stop begins; `kernel` is None while there is only a start."""
        self._stopping.add(kernel_id)
        if kernel is None:
            return Stopping(KernelFacts(kernel_id, "", owner, owner), by, had_lived=False, since=None)
        had_lived = not kernel.is_dead and kernel_id not in self._starts
        return Stopping(self._facts(kernel), by, had_lived, None if kernel.is_dead else kernel.cores_since)

    def stopped(self, stop: Stopping, reason: str) -> None:
        """Called when it has ended; `reason` is why it was culled."""
        self._stopping.discard(stop.kernel.kernel_id)
        self._deaths.pop(stop.kernel.kernel_id, None)
        by = None if stop.by is None else stop.by.name
        self.journal.tell(Stopped(stop.kernel, by, reason, _seconds_since(stop.since), stop.had_lived))

    def became_zombie(self, kernel: GatewayKernel, reason: str) -> None:
        """Called when its process can't be ended. One that waited for a user is the administrators'."""
        self.journal.tell(BecameZombie(self._facts(kernel), reason))

    # Which kernel it is.

    def _facts_of_start(self, start: Start) -> KernelFacts:
        user = start.user.name or (start.requested or {}).get(KERNEL_USERNAME, "")
        cores = self._cores(start.admission)
        return KernelFacts(start.kernel_id, start.kernel_name[:MAX_NAME], start.user.name, user[:MAX_NAME], cores)

    def _facts(self, kernel: Kernel) -> KernelFacts:
        cores = self._cores(kernel.admission)
        return KernelFacts(kernel.kernel_id, kernel.kernel_name, kernel.owner, kernel.user[:MAX_NAME], cores)

    def _cores(self, admission: Admission | None) -> int:
        """Return the cores that a kernel was admitted with; 0 where nobody says how many they are."""
        executors = None if admission is None else admission.request.executors
        cores = 0 if executors is None else needed(self._supplies.clusters.policy.reserved(executors))
        return cores if cores <= MOST_CORES else 0


def _seconds_since(since: datetime | None) -> float:
    return 0.0 if since is None else (datetime.now(timezone.utc) - since).total_seconds()
