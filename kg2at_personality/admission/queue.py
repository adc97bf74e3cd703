"""Who may start a kernel now: first come first served, and nobody is promised what another was.

One poller asks the master while someone waits or a promise is not yet kept, and at each answer everything is worked out
anew from the answer and the leases. An answer is a picture of the moment it was asked for: what was given back since
still counts in it (`_late`), and what was renewed since is not settled by it (`_renewed`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import KernelIdTaken, KG2ATError, MasterUnreachable, StillUnreachable
from ..spark.cluster import ALIVE, App, AppIdentity, ClusterState, ExecutorRequest, Room, capacity, check, needed
from ..spark.placement import rooms
from .decisions import Shares, Verdicts, Waiter
from .headroom import Headroom
from .lease import AFTERLIFE, Claim, Lease, Sighting, sightings
from .messages import RETRY_AFTER, Picture, above_share, busy, closing, queue_full
from .policy import AdmissionPolicy, AdmissionRequest, cores_of
from .poller import Poller

__all__ = ["AdmissionPolicy", "AdmissionQueue", "AdmissionRequest"]

TURN = 50  # waiters looked at closely before the event loop gets a turn


class AdmissionQueue:
    """The queue for one cluster. It belongs to one event loop; nothing in it is for other threads.

    `state` asks the master and raises MasterUnreachable (`MasterClient.state`); `clock` is in seconds and must go as
    the event loop's own, `log` gets a line for each admission, wait and refusal.
    """

    def __init__(
        self,
        state: Callable[[], Awaitable[ClusterState]],
        policy: AdmissionPolicy,
        *,
        clock: Callable[[], float] = time.monotonic,
        log: logging.Logger | logging.LoggerAdapter[Any] = logging.getLogger(__name__),  # noqa: B008
    ) -> None:
        self.policy = policy
        self._state, self._clock, self._log = state, clock, log
        self._waiting: OrderedDict[str, Waiter] = OrderedDict()
        self._leases: dict[str, Lease] = {}
        self._closed = False
        self._poller = Poller(
            self._poll, policy.core_poll_interval, wanted=self._wanted, waiting=lambda: bool(self._waiting)
        )
        self._late: list[Lease] = []  # given back since the poll under way asked
        self._renewed: set[str] = set()  # renewed since the poll under way asked
        self._picture: Picture | None = None
        self._failure: MasterUnreachable | None = None  # of the last poll

    # What callers do.

    async def acquire(self, request: AdmissionRequest) -> None:
        """Return when the kernel may start; it then holds a lease until `release`. Without executors, or if checks
        are off, it returns at once and holds none.

        Raises RequestError, OutOfBounds, NeverFits, ClusterBusy, QueueFull, ShareUsed, StillUnreachable, GatewayEnds,
        and KernelIdTaken for a kernel that waits or has a lease. Whoever cancels leaves neither place nor lease.
        """
        executors = request.executors
        if executors is None or self.policy.core_check == "off":
            return
        try:
            waiter = self._enter(request, executors)
        except KG2ATError as error:
            self._log_refusal(request, error)
            raise
        try:
            await waiter.admitted
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise

    def adopt(self, request: AdmissionRequest, *, restarted: bool, age: float = math.inf) -> None:
        """Give a kernel that an earlier gateway started `age` seconds ago, and that still runs, its lease: unchecked.

        `restarted`: its process is not its first, so that what has completed at the master may be an earlier one's.
        Does nothing without executors, if checks are off, for a kernel that has a lease, and after `close`.
        """
        executors = request.executors
        if executors is None or self.policy.core_check == "off" or self._closed or self.holds(request.kernel_id):
            return
        lease = self._lease(request, self.policy.promise(executors), cores_of(executors), age)
        if restarted:
            lease.renew(self._clock() - AFTERLIFE)  # of the old process nothing is active any more
        self._log.info("Kernel %s of %r runs already and keeps its cores", request.kernel_id, request.user)
        self._poller.look(at_once=True)

    def holds(self, kernel_id: str) -> bool:
        """Whether the kernel has a lease."""
        return kernel_id in self._leases

    def release(self, kernel_id: str) -> None:
        """Give back the kernel's lease, if it has one; whoever waits is looked at at once."""
        lease = self._leases.pop(kernel_id, None)
        if lease is not None:
            if self._poller.asking:
                self._late.append(lease)
            self._poller.look(at_once=True)

    def renew(self, kernel_id: str) -> None:
        """Promise all of the lease anew: its kernel starts again. Call it when the old process has ended.

        No application seen so far counts for it any more. Without a lease it does nothing. The cores that the old
        application gives back are those promised, so that nobody waits for them and no check is needed.
        """
        lease = self._leases.get(kernel_id)
        if lease is not None:
            lease.renew(self._clock())
            if self._poller.asking:
                self._renewed.add(kernel_id)
            self._poller.look(at_once=True)

    def rename(self, kernel_id: str, application: AppIdentity) -> None:
        """Know the applications of the kernel's next process by what its launch calls them. Without a lease: nothing.

        Call it before that process is launched, and after `renew`.
        """
        lease = self._leases.get(kernel_id)
        if lease is not None:
            lease.claim = replace(lease.claim, identity=application)

    def applications(self, kernel_id: str, answer: ClusterState) -> list[App]:
        """The applications in the answer, which came just now, that a kernel with a lease has; [] without a lease."""
        lease = self._leases.get(kernel_id)
        return [] if lease is None else sightings(answer, [lease.claim], self._clock())[lease.claim].active

    def status(self) -> dict[str, Any]:
        """Cluster, queue and leases from memory; `age_s` is the age of what the master said, None before it said any.

        Times are in seconds, memory in MiB.
        """
        now = self._clock()
        queue = [
            {
                "kernel_id": waiter.request.kernel_id,
                "name": waiter.request.kernel_name,
                "user": waiter.request.user,
                "cores": needed(waiter.promise),
                "waited_s": round(now - waiter.since, 3),
                "position": position,
            }
            for position, waiter in enumerate(self._waiting.values(), 1)
        ]
        leases = {
            lease.kernel_id: {
                "cores": needed(lease.promise),
                "granted": lease.granted,
                "state": lease.state,
                "app_id": lease.app_id,
            }
            for lease in self._leases.values()
        }
        return {"cluster": self._cluster(now), "queue": queue, "leases": leases}

    async def close(self) -> None:
        """Refuse everybody who waits or comes later, and end the poller. Leases stay; a second call does nothing."""
        self._closed = True
        for waiter in list(self._waiting.values()):
            self._refuse(waiter, closing())
        await self._poller.close()

    # Coming and going.

    def _enter(self, request: AdmissionRequest, executors: ExecutorRequest) -> Waiter:
        """Queue the request. Raises what needs no answer of the master to know."""
        check(executors)
        cores, bound = cores_of(executors), self.policy.max_cores_per_user
        if self._closed:
            raise closing()
        if request.kernel_id in self._waiting or request.kernel_id in self._leases:
            raise KernelIdTaken(f"A kernel with the id {request.kernel_id} waits for its cores, or has them, already.")
        if bound and cores > bound:
            raise above_share(cores, bound)
        blocked = next((waiter.examined for waiter in self._waiting.values()), False)
        if blocked and len(self._waiting) >= self.policy.max_queue:
            raise queue_full(len(self._waiting))
        loop, promise = asyncio.get_running_loop(), self.policy.promise(executors)
        waiter = Waiter(request, promise, cores, self._clock(), loop.create_future())
        waiter.timer = loop.call_later(self.policy.wait(request.patience), self._expire, waiter)
        self._waiting[request.kernel_id] = waiter
        self._poller.look(at_once=not blocked and not self._poller.asking)
        return waiter

    def _leave(self, waiter: Waiter) -> None:
        if self._waiting.get(waiter.request.kernel_id) is waiter:
            del self._waiting[waiter.request.kernel_id]
        if waiter.timer is not None:
            waiter.timer.cancel()

    def _withdraw(self, waiter: Waiter) -> None:
        """Its client hung up: in the queue, or between the admission and its coming to know of it."""
        self._leave(waiter)
        if not waiter.admitted.cancelled() and waiter.admitted.exception() is None:
            self._log.info("Kernel %s was admitted, but nobody waits for it any more", waiter.request.kernel_id)
            self.release(waiter.request.kernel_id)
        else:
            self._poller.look(at_once=True)

    def _admit(self, waiter: Waiter, earlier: Sighting | None, why: str = "") -> None:
        """`earlier` is what the answer shows of an earlier kernel with the same id, None if that is not known."""
        request = waiter.request
        self._leave(waiter)
        lease = self._lease(request, waiter.promise, waiter.cores)
        if earlier is None or any(late.kernel_id == request.kernel_id for late in self._late):
            lease.renew(self._clock())  # the answer may be older than the earlier kernel's application
        else:
            lease.forget(earlier)
        waiter.admitted.set_result(None)
        level = logging.WARNING if why else logging.INFO
        waited = self._clock() - waiter.since
        self._log.log(level, "Admitted after %.3f s%s: %s", waited, why, waiter)

    def _lease(self, request: AdmissionRequest, promise: ExecutorRequest, cores: int, age: float = 0.0) -> Lease:
        claim = Claim(request.kernel_id, request.application, self._clock() - age)
        lease = self._leases[request.kernel_id] = Lease(claim, request.user, promise, cores)
        return lease

    def _refuse(self, waiter: Waiter, error: KG2ATError) -> None:
        self._leave(waiter)
        if not waiter.admitted.done():
            waiter.admitted.set_exception(error)
            self._log_refusal(waiter.request, error)

    def _log_refusal(self, request: AdmissionRequest, error: KG2ATError) -> None:
        self._log.warning("Refused kernel %s of %r: %s: %s", request.kernel_id, request.user, error.reason, error)

    def _expire(self, waiter: Waiter) -> None:
        """Its wait is over. Those behind it are looked at: they may fit where it did not."""
        if not waiter.admitted.done():
            self._refuse(waiter, self._too_late(waiter))
            self._poller.look(at_once=True)

    def _too_late(self, waiter: Waiter) -> KG2ATError:
        """Why it did not get in: the master did not answer, or said that there is no room."""
        if self._failure is not None:
            return StillUnreachable(self._failure, RETRY_AFTER)
        if self._picture is None or not waiter.examined:
            url = self._picture.url if self._picture else "(not asked before)"
            failure = MasterUnreachable(url, f"no answer within {self._clock() - waiter.since:.1f} s")
            return StillUnreachable(failure, RETRY_AFTER)
        return busy(waiter.promise, self._picture, self._promised(), self._ahead(waiter))

    def _ahead(self, waiter: Waiter) -> int:
        for ahead, other in enumerate(self._waiting.values()):
            if other is waiter:
                return ahead
        return 0

    def _promised(self) -> int:
        """Cores that leases are still to get."""
        return sum(lease.rest_cores for lease in self._leases.values())

    # Asking.

    def _wanted(self) -> bool:
        return not self._closed and (bool(self._waiting) or any(lease.rest for lease in self._leases.values()))

    async def _poll(self) -> None:
        """Ask once and judge. Nothing that goes wrong ends the poller."""
        asked_at = self._clock()
        try:
            answer = await self._ask()
            if answer is None:
                self._fail()
            else:
                await self._judge(answer, asked_at)
        except Exception:
            self._log.exception("Judging the Spark master's answer failed; whoever waits goes on waiting")
        finally:
            self._late.clear()
            self._renewed.clear()

    async def _ask(self) -> ClusterState | None:
        """The master's answer; None, and `_failure`, if there is none."""
        try:
            answer = await self._state()
        except MasterUnreachable as error:
            failure = error
        except Exception as error:
            self._log.exception("Asking the Spark master failed in an unexpected way")
            url = self._picture.url if self._picture else "(unknown)"
            failure = MasterUnreachable(url, f"{type(error).__name__}; the log of the gateway has the rest")
        else:
            self._failure = None
            return answer
        if self._failure is None or self._failure.problem != failure.problem:
            self._log.warning("%s", failure)
        self._failure = failure
        return None

    # Judging.

    async def _judge(self, answer: ClusterState, asked_at: float) -> None:
        """Let in who fits, in turns short enough for the event loop."""
        who: tuple[Lease | Waiter, ...] = (*self._leases.values(), *self._late, *self._waiting.values())
        seen = sightings(answer, (each.claim for each in who), asked_at)
        if answer.status == ALIVE:
            self._settle(seen, asked_at)
        self._picture = Picture(answer.url, answer.status, capacity(answer), asked_at)
        free, verdicts = rooms(answer), Verdicts(answer)
        await asyncio.sleep(0)
        while self._turn(free, verdicts, seen):  # noqa: ASYNC110, it waits for nothing but its next turn
            await asyncio.sleep(0)

    def _settle(self, seen: Mapping[Claim, Sighting], asked_at: float) -> None:
        """Read from what the answer shows what each lease has."""
        for lease in (*self._leases.values(), *self._late):
            if lease.kernel_id in self._renewed:
                lease.forget(seen[lease.claim])
            else:
                lease.settle(seen[lease.claim], asked_at)

    def _turn(self, free: Mapping[Room, int], verdicts: Verdicts, seen: Mapping[Claim, Sighting]) -> bool:
        """One pass over the queue. True if it is not through yet.

        Strictly first come first served: behind the first that does not fit nobody is let in, even if it would fit.
        """
        room = Headroom(free, [lease.rest for lease in (*self._leases.values(), *self._late) if lease.rest])
        shares, looked, kept = Shares(self.policy.max_cores_per_user, self._leases.values()), 0, 0
        for waiter in self._in_line():
            if not kept or not waiter.examined:
                if looked == TURN:
                    return True
                looked += 1
                error = shares.refuse(waiter)
                if error is None and not kept and room.take(waiter.promise):
                    self._admit(waiter, seen.get(waiter.claim))
                elif error := error or verdicts.refuse(waiter) or self._too_much(waiter, kept):
                    self._refuse(waiter, error)
                    continue
                else:
                    kept += 1
            else:
                kept += 1
            shares.add(waiter)
        return False

    def _in_line(self) -> list[Waiter]:
        """Who waits, without those that were cancelled and have not left yet."""
        return [waiter for waiter in self._waiting.values() if not waiter.admitted.done()]

    def _too_much(self, waiter: Waiter, ahead: int) -> KG2ATError | None:
        """The error for one that does not get in now and may not wait. Who waits already may go on."""
        if waiter.examined:
            return None
        waiter.examined = True
        if self.policy.core_check == "reject" or not self.policy.max_queue:
            return self._too_late(waiter)
        if ahead >= self.policy.max_queue:
            return queue_full(ahead)
        self._log.info("Waits behind %d: %s", ahead, waiter)
        return None

    def _fail(self) -> None:
        """The master did not answer: let all pass, or wait on, as the policy says."""
        shares, kept = Shares(self.policy.max_cores_per_user, self._leases.values()), 0
        for waiter in self._in_line():
            error = shares.refuse(waiter)
            if error is None and self.policy.master_unreachable == "admit":
                self._admit(waiter, None, f", unchecked ({self._failure})")
            elif error := error or self._too_much(waiter, kept):
                self._refuse(waiter, error)
                continue
            else:
                kept += 1
            shares.add(waiter)

    def _cluster(self, now: float) -> dict[str, Any]:
        """The part of the status about the master and its workers."""
        picture = self._picture
        cluster: dict[str, Any] = {
            "master": picture.url if picture else None,
            "status": picture.status if picture else "not asked yet",
            "cores_total": picture.capacity.cores_total if picture else None,
            "cores_free": picture.capacity.cores_free if picture else None,
            "cores_promised": self._promised(),
            "memory_total_mib": picture.capacity.memory_total_mib if picture else None,
            "memory_free_mib": picture.capacity.memory_free_mib if picture else None,
            "workers": picture.capacity.workers if picture else None,
            "age_s": round(now - picture.asked_at, 3) if picture else None,
        }
        return cluster if self._failure is None else cluster | {"error": str(self._failure)}
