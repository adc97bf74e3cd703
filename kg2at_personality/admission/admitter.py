"""What is decided about those who wait is done: they get their lease, their error, or go on waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ..errors import ClusterBusy, KG2ATError, MasterUnreachable
from .decisions import Admit, Answer, Decision, Refuse, decide
from .lease import Claim, Sighting
from .lease_table import LeaseTable
from .log import AdmissionLog
from .messages import with_line
from .policy import AdmissionPolicy
from .waiting_list import Entry, WaitingList


class Admitter:
    """Takes entries out of the waiting list, and gives those that are admitted a lease. `clock` is the queue's."""

    def __init__(
        self,
        waiting: WaitingList,
        leases: LeaseTable,
        policy: AdmissionPolicy,
        clock: Callable[[], float],
        log: AdmissionLog,
    ) -> None:
        self._waiting, self._leases, self._policy = waiting, leases, policy
        self._clock, self._log = clock, log

    async def decide(self, answer: Answer, seen: Mapping[Claim, Sighting]) -> None:
        """Decide on everybody, in turns short enough for the event loop; leases and waiters may change in between.

        `seen` is what the answer shows of leases and waiters.
        """
        while True:
            self._waiting.remove_cancelled()
            leases, waiters = self._leases, self._waiting.waiters
            decisions = decide(answer, leases.held, waiters, self._policy, leases.returned)
            for decision in decisions.made:
                self._apply(decision, seen)
            if decisions.is_complete:
                return
            await asyncio.sleep(0)

    def refuse(self, entry: Entry, error: KG2ATError) -> None:
        """Take the entry out of the list; its client gets the error.

        Where the cluster is busy it is told which applications wait at the master before it.
        """
        self._waiting.remove(entry)
        if isinstance(error, ClusterBusy):
            error = with_line(error, self._leases.line, self._clock())
        if not entry.admitted.done():
            entry.admitted.set_exception(error)
            self._log.refused(entry.waiter.request, error)

    def _apply(self, decision: Decision, seen: Mapping[Claim, Sighting]) -> None:
        waiter = decision.waiter
        entry = self._waiting[waiter.request.kernel_id]
        if isinstance(decision, Admit):
            self._admit(entry, seen.get(waiter.claim), decision.unchecked)
        elif isinstance(decision, Refuse):
            self.refuse(entry, decision.error)
        else:
            waiter.examined = True
            self._log.waits(waiter, decision.ahead)

    def _admit(self, entry: Entry, earlier: Sighting | None, unchecked: MasterUnreachable | None) -> None:
        """Give the waiter its lease; `earlier` as for LeaseTable.admit."""
        waiter, now = entry.waiter, self._clock()
        self._waiting.remove(entry)
        self._leases.admit(waiter.request, waiter.executors, waiter.cores, now, earlier)
        entry.admitted.set_result(None)
        self._log.admitted(waiter, now - waiter.since, unchecked)
