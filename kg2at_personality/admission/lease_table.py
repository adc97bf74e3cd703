"""The leases of all kernels on one cluster, kept right while an answer of the master is under way.

An answer shows the moment at which it was asked for. The application of a kernel that gave its lease back since may
still hold its cores at the master without being in the answer, so that lease still counts. A lease that was renewed
since is not updated by the answer, which shows the old process.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..spark.cluster import ALIVE, App, AppIdentity, ClusterState, ExecutorRequest, registration
from .lease import OVERLAP, Claim, Lease, Sighting, sightings
from .request import AdmissionRequest


class LeaseTable:
    """At most one lease for each kernel id. `now` is in seconds of the queue's clock."""

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}
        self._returned: list[Lease] = []  # given back since the master was asked
        self._renewed: set[str] = set()  # renewed since the master was asked

    def __contains__(self, kernel_id: str) -> bool:
        return kernel_id in self._held

    @property
    def held(self) -> Collection[Lease]:
        """The leases of kernels that were admitted and have not been released."""
        return self._held.values()

    @property
    def returned(self) -> Collection[Lease]:
        """The leases given back since the master was asked."""
        return self._returned

    @property
    def outstanding_cores(self) -> int:
        """Cores that the master has still to grant."""
        return sum(lease.outstanding_cores for lease in self._held.values())

    @property
    def is_unsettled(self) -> bool:
        """Whether the master has still to grant anything, or may tell something new at any time."""
        return any(lease.is_unsettled for lease in self._held.values())

    @property
    def is_lacking(self) -> bool:
        """Whether a kernel is busy and lacks an executor."""
        return any(lease.lacks_since is not None for lease in self._held.values())

    @property
    def line(self) -> list[Lease]:
        """The leases whose applications wait at the master, in the order in which Spark serves them."""
        waiting = [lease for lease in self._held.values() if lease.waits_since is not None]
        return sorted(waiting, key=lambda lease: registration(lease.app) if lease.app else (0.0, 0, ""))

    def get(self, kernel_id: str) -> Lease | None:
        """Return the kernel's lease, None if it has none."""
        return self._held.get(kernel_id)

    def admit(
        self, request: AdmissionRequest, executors: ExecutorRequest, cores: int, now: float, earlier: Sighting | None
    ) -> None:
        """Give an admitted kernel its lease.

        `earlier` is what the answer shows of an earlier kernel with the same id, None if that is not known.
        """
        lease = self._add(request, executors, cores, now)
        if earlier is None or any(returned.kernel_id == request.kernel_id for returned in self._returned):
            lease.renew(now)  # the answer may be older than the earlier kernel's application
        else:
            lease.ignore(earlier)

    def adopt(
        self, request: AdmissionRequest, executors: ExecutorRequest, cores: int, now: float, age: float, restarted: bool
    ) -> None:
        """Give a kernel that an earlier gateway launched `age` seconds ago its lease; see AdmissionQueue.adopt."""
        lease = self._add(request, executors, cores, now - age)
        if restarted:
            lease.renew(now - OVERLAP)  # of the old process nothing is active any more

    def _add(self, request: AdmissionRequest, executors: ExecutorRequest, cores: int, since: float) -> Lease:
        claim = Claim(request.kernel_id, request.application, since)
        lease = self._held[request.kernel_id] = Lease(claim, request.user, executors, cores, request.kernel_name)
        return lease

    def remove(self, kernel_id: str) -> bool:
        """Take the kernel's lease back. Returns whether it had one."""
        lease = self._held.pop(kernel_id, None)
        if lease is not None:
            self._returned.append(lease)
        return lease is not None

    def renew(self, kernel_id: str, now: float) -> bool:
        """Reserve all of the kernel's lease again. Returns whether it has one."""
        lease = self._held.get(kernel_id)
        if lease is not None:
            lease.renew(now)
            self._renewed.add(kernel_id)
        return lease is not None

    def rename(self, kernel_id: str, application: AppIdentity) -> None:
        """Know the kernel's applications by this identity from now on. No-op without a lease."""
        lease = self._held.get(kernel_id)
        if lease is not None:
            lease.claim = replace(lease.claim, identity=application)

    def expect_answer(self) -> None:
        """Called when the master is asked: the answer will show all that has happened until now."""
        self._returned.clear()
        self._renewed.clear()

    def read(self, answer: ClusterState, asked_at: float, waiting: Iterable[Claim]) -> Mapping[Claim, Sighting]:
        """Read what each lease has from an answer that was asked for at `asked_at`. Only an ALIVE master tells.

        Returns what the answer shows of the leases and of the claims of those who wait.
        """
        leases = (*self._held.values(), *self._returned)
        seen = sightings(answer, (*(lease.claim for lease in leases), *waiting), asked_at)
        if answer.status == ALIVE:
            self._update(leases, seen, asked_at)
        return seen

    def _update(self, leases: Iterable[Lease], seen: Mapping[Claim, Sighting], asked_at: float) -> None:
        for lease in leases:
            if lease.kernel_id in self._renewed:
                lease.ignore(seen[lease.claim])
            else:
                lease.update(seen[lease.claim], asked_at)

    def applications(self, kernel_id: str, answer: ClusterState, now: float) -> list[App]:
        """Return the kernel's active applications in an answer that came just now; [] without a lease."""
        lease = self._held.get(kernel_id)
        return [] if lease is None else sightings(answer, [lease.claim], now)[lease.claim].active

    def status(self) -> dict[str, dict[str, Any]]:
        """Return a row for each kernel id: its cores, those granted and given back, the state and the application."""
        return {
            lease.kernel_id: {
                "cores": lease.admitted_cores,
                "granted": lease.granted,
                "given_back": lease.given_back,
                "state": lease.state,
                "app_id": lease.app_id,
            }
            for lease in self._held.values()
        }

    def totals(self) -> dict[str, int]:
        """Return the cores, and the memory in MiB, that notebooks have, and that the master has still to grant them."""
        held = self._held.values()
        return {
            "cores_promised": self.outstanding_cores,
            "cores_notebooks": sum(lease.granted for lease in held),
            "memory_promised_mib": sum(lease.outstanding_memory_mib for lease in held),
            "memory_notebooks_mib": sum(lease.memory_mib for lease in held),
        }

    def queue_status(self, now: float) -> list[dict[str, Any]]:
        """Return a row for each application that waits at the master, as WaitingList.status does for waiters."""
        return [
            {
                "kernel_id": lease.kernel_id,
                "name": lease.kernel_name,
                "user": lease.user,
                "cores": lease.outstanding_cores,
                "waited_s": round(now - since, 3),
                "position": position,
                "app_id": lease.app_id,
            }
            for position, lease in enumerate(self.line, 1)
            if (since := lease.waits_since) is not None
        ]
