"""What an application waits for that has fewer cores than one of its executors needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import MasterUnreachable
from ..spark.cluster import ALIVE, ClusterState, needed, one_executor
from .lease import RUNNING, Lease
from .lease_table import LeaseTable
from .master_view import MasterView
from .messages import (
    application_unknown,
    cores_are_held,
    master_grants_nothing,
    no_worker,
    waiting,
    workers_too_small,
)
from .occupancy import Occupancy

#: Seconds in which an application that has room takes it. Dynamic allocation asks for an executor when a job has been
#: without one for a second (spark.dynamicAllocation.schedulerBacklogTimeout).
SETTLING = 2.0


@dataclass(frozen=True)
class ApplicationWait:
    """One kernel's application that was admitted and waits at the master.

    `app_id` is None while it has not registered: the master does not answer, for one. It lacks so many `cores`.
    `place` is 1 for the first in line; None when there is no line. `message` says in one line of plain text what it
    waits for, how many cores are free of how many, who holds them, and its place. It has no time in it.
    """

    kernel_id: str
    app_id: str | None
    cores: int
    place: int | None
    message: str


class ApplicationWaits:
    """Tells from memory what kernels wait for. `clock` is the queue's."""

    def __init__(self, master: MasterView, leases: LeaseTable, clock: Callable[[], float]) -> None:
        self._master, self._leases, self._clock = master, leases, clock
        self._occupancy: Occupancy | None = None

    def of(self, kernel_id: str) -> ApplicationWait | None:
        """Return what the kernel waits for; None if that is nothing, or not known.

        It is not known before the master has been asked since the kernel began to lack an executor.
        """
        lease, asked_at = self._leases.get(kernel_id), self._master.asked_at
        if lease is None or lease.lacks_since is None or asked_at is None or asked_at < lease.lacks_since:
            return None
        known = self._master.failure or self._last_occupancy()
        return None if known is None else application_wait(lease, known, self._clock())

    def _last_occupancy(self) -> Occupancy | None:
        picture = self._master.picture
        if picture is not None and (self._occupancy is None or self._occupancy.state is not picture.state):
            self._occupancy = Occupancy(picture.state, self._leases.held)
        return self._occupancy


def application_wait(lease: Lease, known: Occupancy | MasterUnreachable, now: float) -> ApplicationWait | None:
    """Return what a kernel that lacks an executor waits for, by the master's last answer or why there was none.

    None if it waits for nothing that the master has: nobody knows whether its cell uses Spark, its application is about
    to register or to take its cores, or it has them and its executor is starting.
    """
    if lease.state != RUNNING and lease.work.report is None:
        return None
    reason = str(known) if isinstance(known, MasterUnreachable) else _reason(lease, known, now)
    if reason is None:
        return None
    lacking = lease.outstanding or one_executor(lease.executors)
    place = None if isinstance(known, MasterUnreachable) else known.place(lease.app_id)
    return ApplicationWait(lease.kernel_id, lease.app_id, needed(lacking), place, waiting(lacking, reason))


def _reason(lease: Lease, occupancy: Occupancy, now: float) -> str | None:
    """Return why the application has no executor, in words; None if it will have one in a moment."""
    state, executors = occupancy.state, lease.executors
    if state.status != ALIVE:
        return master_grants_nothing(state)
    if lease.state != RUNNING:
        return _why_unknown(lease, state, now)
    if lease.has_executor:
        return None
    if not occupancy.capacity.workers:
        return no_worker(state)
    if not occupancy.is_large_enough(executors):
        return workers_too_small(state)
    has_room = occupancy.has_room(executors)
    if has_room and (lease.waits_since is None or now - lease.waits_since < SETTLING):
        return None
    return cores_are_held(occupancy, lease, has_room)


def _why_unknown(lease: Lease, state: ClusterState, now: float) -> str | None:
    """Return that the master has forgotten the application whose job waits; None if it may yet register.

    A master that is started again without recovery does not know it, and its driver does not register anew
    (StandaloneAppClient.onDisconnected, Spark 3.5): the job would wait for ever.
    """
    report = lease.work.report
    if report is None or not report.jobs or not report.app_id or lease.lacks_since is None:
        return None
    return application_unknown(state, report.app_id) if now - lease.lacks_since >= SETTLING else None
