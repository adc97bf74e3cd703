"""The state of a Spark standalone cluster, and what its master would grant. Pure: no clock, no network.

Cores are counted in cores, memory in MiB. The placement rule is that of `org.apache.spark.deploy.master.Master`
(`startExecutorsOnWorkers`, `scheduleExecutorsOnWorkers`), the same from Spark 2.0 to 3.5 with
`spark.deploy.spreadOut` at its default, true.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import MalformedAnswer, RequestError

ALIVE = "ALIVE"
Requirement = Literal["max", "min"]
_Room = tuple[int, int]  # (cores free, MiB free) of a worker
_Move = tuple[_Room, int, int]  # workers with this room, how many of them, how often each is handed out cores


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker (`WorkerInfo`). `state` is ALIVE, DEAD, DECOMMISSIONED or UNKNOWN (while the master recovers)."""

    id: str
    host: str
    port: int
    state: str
    cores: int
    cores_used: int
    memory_mib: int
    memory_used_mib: int


@dataclass(frozen=True, slots=True)
class App:
    """One application (`ApplicationInfo`).

    `cores` is what it has; a finished one keeps what it had. `cores_requested` is its `spark.cores.max`, which only
    masters before Spark 2.3 tell, and only if it is set. `state` is WAITING, RUNNING, FINISHED, FAILED or KILLED;
    an application that lost all its executors stays RUNNING with 0 cores.
    """

    id: str
    name: str
    cores: int
    cores_requested: int | None
    memory_per_executor_mib: int
    user: str
    state: str
    submitted: str


@dataclass(frozen=True)
class ClusterState:
    """What a master said. `url` is its own, `spark://...`; `status` is ALIVE, STANDBY, RECOVERING, ..."""

    url: str
    status: str
    workers: tuple[Worker, ...]
    apps: tuple[App, ...]
    completed: tuple[App, ...] = ()

    @classmethod
    def from_json(cls, payload: object, where: str = "the master's JSON") -> ClusterState:
        """Read a master's `/json/` (`JsonProtocol.writeMasterState`), parsed, of Spark 2.0 to 3.5.

        Unknown keys are ignored and missing ones count as nothing free, but `status` and `workers` must be there.
        `where` is the address that answered. Raises MalformedAnswer, with `where` in it.
        """
        try:
            return _state(payload)
        except _Wrong as wrong:
            raise MalformedAnswer(where, str(wrong)) from None


@dataclass(frozen=True)
class ExecutorRequest:
    """The executors an application asks for.

    `cores_max` is `spark.cores.max`, `executor_cores` `spark.executor.cores` (None: one executor a worker takes what
    is free there). `executor_memory_mib` is `spark.executor.memory` alone: a standalone master counts neither
    memoryOverhead nor pyspark memory (seen with 3.5.9; `ApplicationDescription.memoryPerExecutorMB`).
    `initial_executors` is the first target of dynamic allocation, None without it. 0 counts as 1: the driver asks
    for none until its first job, and needs one then.
    """

    cores_max: int
    executor_cores: int | None
    executor_memory_mib: int
    initial_executors: int | None = None


@dataclass(frozen=True)
class Capacity:
    """Totals over ALIVE workers."""

    workers: int
    cores_total: int
    cores_free: int
    memory_total_mib: int
    memory_free_mib: int


class Placement:
    """A working copy of the free room, on which requests are placed one after another as the master would.

    Workers with equal room are interchangeable, so only their number is kept: one pass over 1,000 requests costs
    in proportion to the executors placed, not to requests times workers. Among workers with equally many free cores
    Spark's order is that of a hash set; here the one with more memory goes first.
    """

    def __init__(self, state: ClusterState) -> None:
        """An ALIVE master places on ALIVE workers only; any other master places nothing (`Master.schedule`)."""
        self._count: dict[_Room, int] = {}
        if state.status == ALIVE:
            for worker in _alive(state):
                room = _room(worker)
                self._count[room] = self._count.get(room, 0) + 1
        self._order = sorted(self._count)

    def grantable(self, request: ExecutorRequest) -> int:
        """Cores the request would get. Takes nothing."""
        return self._plan(request)[0]

    def place(self, request: ExecutorRequest, at_least: int = 0) -> int:
        """Give the request all it would get, and return that, in cores.

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
        wanted = _rounds(request)
        first = self._usable(request, min(wanted, _breadth(request)))
        left = wanted - sum([count for _, count, _ in first])
        moves, left = _fill(request, first, left) if left else (first, 0)
        return (wanted - left) * _size(request), moves

    def _usable(self, request: ExecutorRequest, breadth: int) -> list[_Move]:
        """One turn for each of the first `breadth` workers that can take an executor (`canLaunchExecutor`)."""
        size, memory = _size(request), request.executor_memory_mib
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
        size, memory, fixed = _size(request), request.executor_memory_mib, request.executor_cores is not None
        for (cores, free), count, turns in moves:
            self._add((cores, free), -count)
            self._add((cores - turns * size, free - (turns * memory if fixed else memory)), count)

    def _add(self, room: _Room, count: int) -> None:
        before = self._count.get(room, 0)
        if not before:
            bisect.insort(self._order, room)
        self._count[room] = before + count
        if not before + count:
            del self._count[room]
            del self._order[bisect.bisect_left(self._order, room)]


def grantable(state: ClusterState, request: ExecutorRequest, promised: Iterable[ExecutorRequest] = ()) -> int:
    """Cores this master could grant to `request` now, after all of `promised` have been placed, in that order."""
    placement = Placement(state)
    for other in promised:
        placement.place(other)
    return placement.grantable(request)


def ever(state: ClusterState, request: ExecutorRequest, requirement: Requirement = "max") -> bool:
    """Could these workers satisfy the request if nothing else ran on them?

    A DEAD worker may come back, so it counts unless its host has an ALIVE one again (a restarted worker has a new id
    and port; the old entry stays for 15 minutes: `Master.timeOutDeadWorkers`). A master that lists no worker at all
    has just started and rules out nothing.
    """
    hosts = {worker.host for worker in _alive(state)}
    workers = tuple(
        replace(worker, state=ALIVE, cores_used=0, memory_used_mib=0)
        for worker in state.workers
        if worker.state in (ALIVE, "UNKNOWN") or (worker.state == "DEAD" and worker.host not in hosts)
    )
    idle = replace(state, status=ALIVE, workers=workers)
    return not workers or Placement(idle).grantable(request) >= needed(request, requirement)


def needed(request: ExecutorRequest, requirement: Requirement) -> int:
    """Cores that satisfy the request: for "max" all that Spark will give it at first, for "min" one executor.

    Spark grants whole executors: `spark.cores.max` 5 with `spark.executor.cores` 2 gets 4. With dynamic allocation
    and no `spark.executor.cores` each of the first executors may be as small as one core.
    """
    if requirement == "min":
        return _size(request)
    return min(_rounds(request), _breadth(request)) * _size(request)


def missing(request: ExecutorRequest, granted: int) -> ExecutorRequest | None:
    """What the request still lacks when its application has `granted` cores already; None if nothing."""
    if granted >= needed(request, "max"):
        return None
    executors = request.initial_executors
    if executors is not None and request.executor_cores is not None:
        executors = max(1, executors) - granted // request.executor_cores
    return replace(request, cores_max=request.cores_max - granted, initial_executors=executors)


def check(request: ExecutorRequest) -> None:
    """Raise RequestError for a request that no cluster whatsoever can run."""
    size = request.executor_cores
    if request.cores_max < 1:
        raise RequestError(f"spark.cores.max is {request.cores_max}: it must be at least 1.")
    if size is not None and size < 1:
        raise RequestError(f"spark.executor.cores is {size}: it must be at least 1.")
    if size is not None and request.cores_max < size:
        raise RequestError(
            f"spark.cores.max is {request.cores_max} and spark.executor.cores is {size}: not even one executor can "
            f"start. Raise spark.cores.max to {size} or more, or lower spark.executor.cores."
        )


def capacity(state: ClusterState) -> Capacity:
    """Totals over ALIVE workers."""
    workers = _alive(state)
    rooms = [_room(worker) for worker in workers]
    return Capacity(
        workers=len(workers),
        cores_total=sum(worker.cores for worker in workers),
        cores_free=sum(cores for cores, _ in rooms),
        memory_total_mib=sum(worker.memory_mib for worker in workers),
        memory_free_mib=sum(memory for _, memory in rooms),
    )


# Placement in detail.


def _alive(state: ClusterState) -> list[Worker]:
    return [worker for worker in state.workers if worker.state == ALIVE]


def _room(worker: Worker) -> _Room:
    return max(0, worker.cores - worker.cores_used), max(0, worker.memory_mib - worker.memory_used_mib)


def _size(request: ExecutorRequest) -> int:
    """Cores handed out at a time (`minCoresPerExecutor`)."""
    return request.executor_cores or 1


def _rounds(request: ExecutorRequest) -> int:
    """How often `_size` cores are handed out at most."""
    turns = max(0, request.cores_max) // _size(request)
    return turns if request.executor_cores is None else min(turns, _breadth(request))


def _breadth(request: ExecutorRequest) -> int:
    """Executors at most (`executorLimit`)."""
    limit = request.initial_executors
    return max(1, request.cores_max) if limit is None else max(1, limit)


def _turns(request: ExecutorRequest, room: _Room) -> int:
    """How often a worker with this room can be handed out cores: every executor needs memory, more cores don't."""
    turns = room[0] // _size(request)
    if request.executor_cores is None or not request.executor_memory_mib:
        return turns
    return min(turns, room[1] // request.executor_memory_mib)


def _fill(request: ExecutorRequest, first: list[_Move], left: int) -> tuple[list[_Move], int]:
    """Hand out `left` more turns round robin to workers that had one each: (what each has then, turns left over)."""
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


def _last_round(live: list[tuple[_Room, int, int]], turn: int, left: int) -> list[_Move]:
    """The round that does not go all the way round: the first `left` workers get one turn more."""
    moves: list[_Move] = []
    for room, count, _ in live:
        more = min(count, left)
        left -= more
        moves += [(room, more, turn + 1), (room, count - more, turn)]
    return [move for move in moves if move[1]]


# Reading the JSON. A value of the wrong type is an error, a missing one is not.


class _Wrong(Exception):
    """What is wrong in the JSON."""


def _state(payload: object) -> ClusterState:
    record = _record(payload, "the answer")
    for key in ("status", "workers"):
        if key not in record:
            raise _Wrong(f"no {key!r} in it: this is not the JSON of a Spark master")
    workers = tuple(_worker(_record(item, "workers")) for item in _list(record, "workers"))
    apps = _apps(record, "activeapps", workers)
    completed = _apps(record, "completedapps", workers)
    return ClusterState(_text(record, "url"), _text(record, "status"), workers, apps, completed)


def _worker(record: Mapping[str, Any]) -> Worker:
    cores, memory = _number(record, "cores", 0), _number(record, "memory", 0)
    return Worker(
        id=_text(record, "id"),
        host=_text(record, "host"),
        port=_number(record, "port", 0),
        state=_text(record, "state"),
        cores=cores,
        cores_used=_number(record, "coresused", cores),
        memory_mib=memory,
        memory_used_mib=_number(record, "memoryused", memory),
    )


def _apps(record: Mapping[str, Any], key: str, workers: tuple[Worker, ...]) -> tuple[App, ...]:
    items = [_record(item, key) for item in _list(record, key)]
    if "aliveworkers" in record:
        return tuple(_app(item, _number(item, "cores", 0), None) for item in items)
    used = sum(worker.cores_used for worker in workers if worker.state == ALIVE)
    return tuple(_old_app(item, used) for item in items)


def _old_app(record: Mapping[str, Any], used: int) -> App:
    """An application from a master before Spark 2.3 (SPARK-19824), which has no `aliveworkers`.

    There `cores` is what it asked for, left out if it asked for all. What it has can only be estimated: nothing
    while it waits, else all it asked for, but no more than the `used` cores of the whole cluster.
    """
    requested = _number(record, "cores", -1)
    granted = 0 if _text(record, "state") == "WAITING" else used if requested < 0 else min(requested, used)
    return _app(record, granted, None if requested < 0 else requested)


def _app(record: Mapping[str, Any], cores: int, requested: int | None) -> App:
    """`memoryperslave` was renamed in Spark 3.0, which sends both."""
    return App(
        id=_text(record, "id"),
        name=_text(record, "name"),
        cores=cores,
        cores_requested=requested,
        memory_per_executor_mib=_number(record, "memoryperexecutor", _number(record, "memoryperslave", 0)),
        user=_text(record, "user"),
        state=_text(record, "state"),
        submitted=_text(record, "submitdate"),
    )


def _record(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong(f"{what}: expected an object, got {_kind(value)}")
    return value


def _list(record: Mapping[str, Any], key: str) -> list[object]:
    value = record.get(key, [])
    if not isinstance(value, list):
        raise _Wrong(f"{key!r}: expected an array, got {_kind(value)}")
    return value


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key, "")
    if not isinstance(value, str):
        raise _Wrong(f"{key!r}: expected text, got {_kind(value)}")
    return value


def _number(record: Mapping[str, Any], key: str, default: int) -> int:
    value = record.get(key, default)
    if type(value) is not int or (value < 0 and key in record):
        raise _Wrong(f"{key!r}: expected a whole number from 0, got {_kind(value)}")
    return value


def _kind(value: object) -> str:
    return repr(value) if isinstance(value, (int, float, bool)) or value is None else type(value).__name__
