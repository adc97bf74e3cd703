"""The queue: those who wait for cores of one cluster come, are admitted or refused, and go.

Whether a waiter may start is decided in `decisions`, anew from each answer of the master and from the leases, and done
in `admitter`. The queue has the master asked while somebody waits or looks, a busy kernel lacks cores, or a lease is
unsettled.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ..errors import KernelIdTaken, KG2ATError, MasterUnreachable
from ..spark.cluster import App, AppIdentity, ClusterState, ExecutorRequest, needed
from ..spark.driver_report import DriverReport
from .admitter import Admitter
from .application_wait import ApplicationWait, ApplicationWaits
from .decisions import ClusterAnswer, NoAnswer, Waiter, check_request
from .kernel_work import KernelWork
from .lease_table import LeaseTable
from .log import AdmissionLog, Log
from .master_view import MasterView
from .messages import closing, queue_full
from .policy import AdmissionPolicy
from .poller import Poller
from .request import AdmissionRequest
from .waiting_list import Entry, WaitingList


class AdmissionQueue:
    """The queue for one cluster. It belongs to one event loop; nothing in it is for other threads.

    `state` asks the master and raises MasterUnreachable (`MasterClient.state`); `clock` is in seconds and must go as
    the event loop's own, `log` gets a line for each admission, wait and refusal. `polls` as of MasterView.
    """

    def __init__(
        self,
        state: Callable[[], Awaitable[ClusterState]],
        policy: AdmissionPolicy,
        *,
        clock: Callable[[], float] = time.monotonic,
        log: Log = logging.getLogger(__name__),  # noqa: B008
    ) -> None:
        self.policy = policy
        self._clock, self._log = clock, AdmissionLog(log)
        self._waiting, self._leases = WaitingList(is_fair=policy.queue_order == "fair"), LeaseTable()
        self._master = MasterView(state, log)
        self.polls = self._master.polls
        self._waits = ApplicationWaits(self._master, self._leases, clock)
        self._admitter = Admitter(self._waiting, self._leases, policy, clock, self._log)
        self._closed = False
        self._poller = Poller(self._poll, policy.core_poll_interval, wanted=self._is_wanted, pressing=self._is_pressing)

    async def acquire(self, request: AdmissionRequest) -> None:
        """Return when the kernel may start; it then holds a lease until `release`.

        Without executors, or if checks are off, it returns at once and the kernel has no lease. Raises RequestError,
        OutOfBounds, NeverFits, ClusterBusy, QueueFull, ShareUsed, StillUnreachable, GatewayEnds, and KernelIdTaken for
        a kernel that waits or has a lease. Cancelled, it leaves neither an entry nor a lease.
        """
        executors = request.executors
        if executors is None or self.policy.core_check == "off":
            return
        try:
            entry = self._enter(request, executors)
        except KG2ATError as error:
            self._log.refused(request, error)
            raise
        try:
            await entry.admitted
        except asyncio.CancelledError:
            self._withdraw(entry)
            raise

    def adopt(self, request: AdmissionRequest, *, restarted: bool, age: float = math.inf) -> None:
        """Give a kernel that an earlier gateway started `age` seconds ago, and that still runs, its lease: unchecked.

        `restarted`: its process is not its first, so that what has completed at the master may be an earlier one's.
        No-op without executors, if checks are off, for a kernel that has a lease, and after `close`.
        """
        executors = request.executors
        if executors is None or self.policy.core_check == "off" or self._closed or self.holds(request.kernel_id):
            return
        reserved = self.policy.reserved(executors)
        self._leases.adopt(request, reserved, needed(executors), self._clock(), age, restarted)
        self._log.adopted(request)
        self._poller.look(at_once=True)

    def holds(self, kernel_id: str) -> bool:
        """Return whether the kernel has a lease."""
        return kernel_id in self._leases

    def release(self, kernel_id: str) -> None:
        """Give back the kernel's lease and examine those who wait at once. No-op without a lease."""
        if self._leases.remove(kernel_id):
            self._poller.look(at_once=True)

    def renew(self, kernel_id: str) -> None:
        """Reserve all of the kernel's lease again, for its restart. No-op without a lease.

        Called when the old process has ended: no application seen so far counts any more, and its cores are reserved.
        """
        if self._leases.renew(kernel_id, self._clock()):
            self._poller.look(at_once=True)

    def rename(self, kernel_id: str, application: AppIdentity) -> None:
        """Know the applications of the kernel's next process by what its launch calls them. No-op without a lease.

        Called before that process is launched, and after `renew`.
        """
        self._leases.rename(kernel_id, application)

    def applications(self, kernel_id: str, answer: ClusterState) -> list[App]:
        """Return the kernel's active applications in an answer that came just now; [] without a lease."""
        return self._leases.applications(kernel_id, answer, self._clock())

    def note_work(self, kernel_id: str, report: DriverReport | None, is_busy: bool) -> None:
        """Measure the kernel's lease by what it does now: its driver's `report`, None if that is not known, and whether
        one of its cells is busy. No-op without a lease.

        Called again and again while the kernel is busy, and once when it is idle again. The master is asked at once
        when a kernel begins to lack cores. Whoever waits is examined at once when a lease reserves less than before.
        """
        lease = self._leases.get(kernel_id)
        if lease is not None:
            reserved = lease.outstanding_cores
            is_news = lease.note(KernelWork(is_busy, report), self._clock())
            if is_news or (self._waiting and lease.outstanding_cores < reserved):
                self._poller.look(at_once=True)

    def wait_of(self, kernel_id: str) -> ApplicationWait | None:
        """Return what the kernel's application waits for, from memory; None if for nothing, and without a lease."""
        return self._waits.of(kernel_id)

    def given_back(self, kernel_id: str) -> int:
        """Return the cores of the kernel's lease that others may have until it needs them; 0 without a lease."""
        return lease.given_back if (lease := self._leases.get(kernel_id)) else 0

    def status(self) -> dict[str, Any]:
        """Return cluster, queue and leases from memory; `age_s` is the age of the last answer, None before the first.

        The queue begins with the applications that wait at the master. What is promised is still free there.
        """
        now = self._clock()
        cluster, line = self._master.status(now) | self._leases.totals(), self._leases.queue_status(now)
        queue = line + self._waiting.status(now, len(line))
        return {"cluster": cluster, "queue": queue, "leases": self._leases.status()}

    async def close(self) -> None:
        """Refuse everybody who waits or comes later, and end the poller. Leases stay. Idempotent."""
        self._closed = True
        for entry in self._waiting.entries:
            self._admitter.refuse(entry, closing())
        await self._poller.close()

    def look(self) -> None:
        """Called while somebody looks at the cluster: have the master asked now and then for a while."""
        self._poller.watch()

    # The rest is the queue's own: coming, going and asking.

    def _enter(self, request: AdmissionRequest, executors: ExecutorRequest) -> Entry:
        """Put the request in the queue. Raises what is known without asking the master."""
        check_request(executors, self.policy, request.max_cores)
        if self._closed:
            raise closing()
        if request.kernel_id in self._waiting or request.kernel_id in self._leases:
            raise KernelIdTaken(f"A kernel with the id {request.kernel_id} waits for its cores, or has them, already.")
        waiter = Waiter(request, self.policy.reserved(executors), needed(executors), self._clock())
        is_blocked = self._waiting.is_blocked
        entry = self._waiting.add(waiter, self.policy.wait(request.patience), self._expire)
        if is_blocked and len(self._waiting) > self.policy.max_queue:
            self._refuse_last(entry)
        self._poller.look(at_once=not is_blocked and not self._poller.asking)
        return entry

    def _refuse_last(self, newcomer: Entry) -> None:
        """Refuse who is last in the order, which one of another user may be. Raises QueueFull if it is the newcomer."""
        last, error = self._waiting.entries[-1], queue_full(len(self._waiting) - 1)
        if last is newcomer:
            self._waiting.remove(newcomer)
            raise error
        self._admitter.refuse(last, error)

    def _withdraw(self, entry: Entry) -> None:
        """Called when its client hung up: in the queue, or between the admission and its coming to know of it."""
        self._waiting.remove(entry)
        request = entry.waiter.request
        if not entry.admitted.cancelled() and entry.admitted.exception() is None:
            self._log.abandoned(request)
            self.release(request.kernel_id)
        else:
            self._poller.look(at_once=True)

    def _expire(self, entry: Entry) -> None:
        """Called when its wait is over. Those behind it are examined at once: they may fit where it did not."""
        if not entry.admitted.done():
            waited, outstanding = self._clock() - entry.waiter.since, self._leases.outstanding_cores
            ahead = len(self._leases.line) + self._waiting.ahead(entry)
            self._admitter.refuse(entry, self._master.timed_out(entry.waiter, waited, outstanding, ahead))
            self._poller.look(at_once=True)

    def _is_wanted(self) -> bool:
        return not self._closed and (self._is_pressing() or self._leases.is_unsettled or self._poller.is_watched)

    def _is_pressing(self) -> bool:
        return bool(self._waiting) or self._leases.is_lacking

    async def _poll(self) -> None:
        """Ask once, decide and do it. Nothing that goes wrong ends the poller."""
        asked_at = self._clock()
        self._leases.expect_answer()
        try:
            answer = await self._master.ask(asked_at)
            if isinstance(answer, MasterUnreachable):
                await self._admitter.decide(NoAnswer(answer, self.policy.master_unreachable == "admit"), {})
            else:
                await self._read(answer, asked_at)
        except Exception:
            self._log.failed()

    async def _read(self, state: ClusterState, asked_at: float) -> None:
        """Update the leases, and decide."""
        seen = self._leases.read(state, asked_at, (entry.waiter.claim for entry in self._waiting.entries))
        answer = ClusterAnswer(state)
        self._master.show(answer, asked_at)
        await asyncio.sleep(0)
        await self._admitter.decide(answer, seen)
