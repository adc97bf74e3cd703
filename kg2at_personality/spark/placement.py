"""What a Spark standalone master would grant, by its own placement rule. Pure: no clock, no network.

The rule is that of `org.apache.spark.deploy.master.Master` (`startExecutorsOnWorkers`, `scheduleExecutorsOnWorkers`),
the same from Spark 2.0 to 3.5 with `spark.deploy.spreadOut` at its default, true.
"""

from __future__ import annotations

import bisect
from dataclasses import replace
from functools import cached_property

from .cluster import ALIVE, ClusterState, ExecutorRequest, Room, alive_workers, free_room, needed

_Move = tuple[Room, int, int]  # workers with this room, how many of them, how often each is handed out cores


class Placement:
    """A working copy of the free room, on which requests are placed one after another as the master would.

    Workers with equal room are interchangeable, so only their number is kept: one pass over 1,000 requests costs
    in proportion to the executors placed, not to requests times workers. Among workers with equally many free cores
    Spark's order is that of a hash set; here the one with more memory goes first.
    """

    def __init__(self, state: ClusterState) -> None:
        self._count = rooms(state)
        self._order = sorted(self._count)

    def grantable(self, request: ExecutorRequest) -> int:
        """Return the cores that the request would get. Takes nothing."""
        return self._plan(request)[0]

    def place(self, request: ExecutorRequest, at_least: int = 0) -> int:
        """Give the request all it would get, and return that in cores.

        If that is less than `at_least` nothing is taken: the request waits and the room is still there for others.
        """
        granted, moves = self._plan(request)
        if granted >= at_least:
            self._apply(request, moves)
        return granted

    def _plan(self, request: ExecutorRequest) -> tuple[int, list[_Move]]:
        """Spread executors (or, without `spark.executor.cores`, single cores) round robin over the workers.

        Most free cores first, each worker once before any twice: `scheduleExecutorsOnWorkers`.
        """
        wanted = request.rounds
        first = self._usable(request, min(wanted, request.breadth))
        left = wanted - sum([count for _, count, _ in first])
        moves, left = _fill(request, first, left) if left else (first, 0)
        return (wanted - left) * request.size, moves

    def _usable(self, request: ExecutorRequest, breadth: int) -> list[_Move]:
        """Return one turn for each of the first `breadth` workers that can take an executor (`canLaunchExecutor`)."""
        size, memory = request.size, request.executor_memory_mib
        moves: list[_Move] = []
        for room in reversed(self._order):
            if not breadth or room[0] < size:
                break
            if room[1] >= memory:
                count = min(self._count[room], breadth)
                breadth -= count
                moves.append((room, count, 1))
        return moves

    def _apply(self, request: ExecutorRequest, moves: list[_Move]) -> None:
        size, memory, fixed = request.size, request.executor_memory_mib, request.executor_cores is not None
        for (cores, free), count, turns in moves:
            self._add((cores, free), -count)
            self._add((cores - turns * size, free - (turns * memory if fixed else memory)), count)

    def _add(self, room: Room, count: int) -> None:
        before = self._count.get(room, 0)
        if not before:
            bisect.insort(self._order, room)
        self._count[room] = before + count
        if not before + count:
            del self._count[room]
            del self._order[bisect.bisect_left(self._order, room)]


def rooms(state: ClusterState) -> dict[Room, int]:
    """Return how many workers have each free room. An ALIVE master places on ALIVE workers, any other on none."""
    count: dict[Room, int] = {}
    if state.status == ALIVE:
        for worker in alive_workers(state):
            room = free_room(worker)
            count[room] = count.get(room, 0) + 1
    return count


class IdleCluster:
    """The workers of a cluster with nothing on them. Equal requests are worked out once."""

    def __init__(self, state: ClusterState) -> None:
        self._busy = state
        self._fits: dict[ExecutorRequest, bool] = {}

    @cached_property
    def state(self) -> ClusterState:
        """The cluster under an ALIVE master.

        A DEAD worker may come back, so it counts unless its host has an ALIVE one again (a restarted worker has a new
        id and port; the old entry stays for 15 minutes: `Master.timeOutDeadWorkers`).
        """
        hosts = {worker.host for worker in alive_workers(self._busy)}
        workers = tuple(
            replace(worker, state=ALIVE, cores_used=0, memory_used_mib=0)
            for worker in self._busy.workers
            if worker.state in (ALIVE, "UNKNOWN") or (worker.state == "DEAD" and worker.host not in hosts)
        )
        return replace(self._busy, status=ALIVE, workers=workers)

    def fits(self, request: ExecutorRequest) -> bool:
        """Return whether the request gets all its cores here.

        True when there is no worker: the master has just started, or waits for its workers, and rules out nothing.
        """
        if request not in self._fits:
            granted = self._placement.grantable(request)
            self._fits[request] = not self.state.workers or granted >= needed(request)
        return self._fits[request]

    @cached_property
    def _placement(self) -> Placement:
        return Placement(self.state)


# Handing out, turn by turn.


def _turns(request: ExecutorRequest, room: Room) -> int:
    """Return how often a worker with this room can be handed out cores: only an executor's first cores take memory."""
    turns = room[0] // request.size
    if request.executor_cores is None or not request.executor_memory_mib:
        return turns
    return min(turns, room[1] // request.executor_memory_mib)


def _fill(request: ExecutorRequest, first: list[_Move], left: int) -> tuple[list[_Move], int]:
    """Hand out `left` more turns round robin to workers that had one each.

    Returns the turns that each has then, and those that are left over.
    """
    live = [(room, count, _turns(request, room)) for room, count, _ in first]
    moves: list[_Move] = []
    turn = 1
    while live:
        moves += [(room, count, turn) for room, count, turns in live if turns == turn or not left]
        live = [item for item in live if item[2] > turn] if left else []
        workers = sum(count for _, count, _ in live)
        if 0 < left < workers:
            return moves + _last_round(live, turn, left), 0
        rounds = min([turns - turn for _, _, turns in live] + [left // max(1, workers)])
        turn, left = turn + rounds, left - rounds * workers
    return moves, left


def _last_round(live: list[tuple[Room, int, int]], turn: int, left: int) -> list[_Move]:
    """Return the turns after the last round, in which only the first `left` workers get one more."""
    moves: list[_Move] = []
    for room, count, _ in live:
        more = min(count, left)
        left -= more
        moves += [(room, more, turn + 1), (room, count - more, turn)]
    return [move for move in moves if move[1]]
