"""Who has the cores of a cluster, and which applications wait for some, in one answer of its master. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from ..spark.cluster import ClusterState, ExecutorRequest, Room, alive_workers, capacity, free_room, registration
from .lease import Lease

#: Stands for the holder of what no kernel of ours has: other applications, and drivers in the cluster.
FOREIGN = None


class Occupancy:
    """An answer of the master, and the leases that were updated by it. It is worked out once for all that wait.

    `holders` are the cores of each user, "" for kernels without one, and of FOREIGN: the most first.
    """

    def __init__(self, state: ClusterState, leases: Collection[Lease]) -> None:
        self.state, self.capacity = state, capacity(state)
        held: Counter[str | None] = Counter()
        for lease in leases:
            held[lease.user] += lease.granted
        used = self.capacity.cores_total - self.capacity.cores_free
        held[FOREIGN] = used - sum(held.values())
        self.holders = [(holder, cores) for holder, cores in held.most_common() if cores > 0]
        self._places = _places(state, leases)
        self._large_enough: dict[Room, bool] = {}
        self._has_room: dict[Room, bool] = {}

    def place(self, app_id: str | None) -> int | None:
        """Return which of all applications that wait this one is, 1 for the first; None if it does not wait."""
        return self._places.get(app_id) if app_id else None

    def held_by(self, user: str) -> int:
        """Return the cores of a user's kernels."""
        return next((cores for holder, cores in self.holders if holder == user), 0)

    def is_large_enough(self, request: ExecutorRequest) -> bool:
        """Return whether one of the ALIVE workers could have one executor of the request if it had nothing else."""
        size = request.size, request.executor_memory_mib
        if size not in self._large_enough:
            rooms = [(worker.cores, worker.memory_mib) for worker in alive_workers(self.state)]
            self._large_enough[size] = any(_holds(room, size) for room in rooms)
        return self._large_enough[size]

    def has_room(self, request: ExecutorRequest) -> bool:
        """Return whether one of the ALIVE workers has room for one executor of the request."""
        size = request.size, request.executor_memory_mib
        if size not in self._has_room:
            self._has_room[size] = any(_holds(free_room(worker), size) for worker in alive_workers(self.state))
        return self._has_room[size]


def _holds(room: Room, size: Room) -> bool:
    return room[0] >= size[0] and room[1] >= size[1]


def _places(state: ClusterState, leases: Collection[Lease]) -> dict[str, int]:
    """Return the places of the applications that wait: those of leases that do, and others that have no cores."""
    ours = {lease.app_id: lease.waits_since is not None for lease in leases}
    waiting = [app for app in state.apps if ours.get(app.id, app.cores == 0)]
    return {app.id: place for place, app in enumerate(sorted(waiting, key=registration), 1)}
