"""The state of a Spark standalone cluster and what an application asks of it. Pure: no clock, no network.

Cores are counted in cores, memory in MiB. What the master would grant is in `placement`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import MalformedAnswer, RequestError

ALIVE = "ALIVE"
#: What a Java `long` holds, the largest of the numbers that a master sends.
LARGEST = 2**63 - 1
Requirement = Literal["max", "min"]
Room = tuple[int, int]  # (cores free, MiB free) of a worker


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
    age_s: float | None = None  # s since it began, by the master's own clock; None: not known


@dataclass(frozen=True, slots=True)
class AppIdentity:
    """How a master shows a driver's applications: `name` is `spark.app.name`, `user` the driver's `user.name`.

    `user` None: not known, so that anybody's count. A master takes both as the driver tells them.
    """

    name: str
    user: str | None


@dataclass(frozen=True)
class ClusterState:
    """What a master said. `url` is its own, `spark://...`; `status` is ALIVE, STANDBY, RECOVERING, ..."""

    url: str
    status: str
    workers: tuple[Worker, ...]
    apps: tuple[App, ...]
    completed: tuple[App, ...] = ()

    @classmethod
    def from_json(cls, payload: object, where: str = "the master's JSON", now: float | None = None) -> ClusterState:
        """Read a master's `/json/` (`JsonProtocol.writeMasterState`), parsed, of Spark 2.0 to 3.5.

        Unknown keys are ignored and missing ones count as nothing free, but `status` and `workers` must be there.
        `where` is the address that answered, `now` what the master's clock said then (seconds since the epoch), by
        which applications have an age. Raises MalformedAnswer, with `where` in it.
        """
        try:
            return _state(payload, now)
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

    @property
    def size(self) -> int:
        """Cores handed out at a time (`minCoresPerExecutor`)."""
        return self.executor_cores or 1

    @property
    def rounds(self) -> int:
        """How often `size` cores are handed out at most."""
        turns = max(0, self.cores_max) // self.size
        return turns if self.executor_cores is None else min(turns, self.breadth)

    @property
    def breadth(self) -> int:
        """Executors at most (`executorLimit`)."""
        limit = self.initial_executors
        return max(1, self.cores_max) if limit is None else max(1, limit)


@dataclass(frozen=True)
class Capacity:
    """Totals over ALIVE workers."""

    workers: int
    cores_total: int
    cores_free: int
    memory_total_mib: int
    memory_free_mib: int


def needed(request: ExecutorRequest, requirement: Requirement) -> int:
    """Cores that satisfy the request: for "max" all that Spark will give it at first, for "min" one executor.

    Spark grants whole executors: `spark.cores.max` 5 with `spark.executor.cores` 2 gets 4. With dynamic allocation
    and no `spark.executor.cores` each of the first executors may be as small as one core.
    """
    if requirement == "min":
        return request.size
    return min(request.rounds, request.breadth) * request.size


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
    workers = alive_workers(state)
    rooms = [free_room(worker) for worker in workers]
    return Capacity(
        workers=len(workers),
        cores_total=sum(worker.cores for worker in workers),
        cores_free=sum(cores for cores, _ in rooms),
        memory_total_mib=sum(worker.memory_mib for worker in workers),
        memory_free_mib=sum(memory for _, memory in rooms),
    )


def alive_workers(state: ClusterState) -> list[Worker]:
    """The workers that take executors."""
    return [worker for worker in state.workers if worker.state == ALIVE]


def free_room(worker: Worker) -> Room:
    """What is free on a worker: (cores, MiB)."""
    return max(0, worker.cores - worker.cores_used), max(0, worker.memory_mib - worker.memory_used_mib)


# Reading the JSON. A value of the wrong type is an error, a missing one is not.


class _Wrong(Exception):
    """What is wrong in the JSON."""


def _state(payload: object, now: float | None) -> ClusterState:
    record = _record(payload, "the answer")
    for key in ("status", "workers"):
        if key not in record:
            raise _Wrong(f"no {key!r} in it: this is not the JSON of a Spark master")
    workers = tuple(_worker(_record(item, "workers")) for item in _list(record, "workers"))
    apps = _apps(record, "activeapps", workers, now)
    completed = _apps(record, "completedapps", workers, now)
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


def _apps(record: Mapping[str, Any], key: str, workers: tuple[Worker, ...], now: float | None) -> tuple[App, ...]:
    items = [_record(item, key) for item in _list(record, key)]
    if "aliveworkers" in record:
        return tuple(_app(item, _number(item, "cores", 0), None, now) for item in items)
    used = sum(worker.cores_used for worker in workers if worker.state == ALIVE)
    return tuple(_old_app(item, used, now) for item in items)


def _old_app(record: Mapping[str, Any], used: int, now: float | None) -> App:
    """An application from a master before Spark 2.3 (SPARK-19824), which has no `aliveworkers`.

    There `cores` is what it asked for, left out if it asked for all. What it has can only be estimated: nothing
    while it waits, else all it asked for, but no more than the `used` cores of the whole cluster.
    """
    requested = _number(record, "cores", -1)
    granted = 0 if _text(record, "state") == "WAITING" else used if requested < 0 else min(requested, used)
    return _app(record, granted, None if requested < 0 else requested, now)


def _app(record: Mapping[str, Any], cores: int, requested: int | None, now: float | None) -> App:
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
        age_s=None if now is None else _age(record, now),
    )


def _age(record: Mapping[str, Any], now: float) -> float | None:
    """Seconds since `starttime`, which is in milliseconds since the epoch."""
    began = _number(record, "starttime", -1)
    return None if began < 0 else now - began / 1000


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
    if type(value) is not int or (value < 0 and key in record) or value > LARGEST:
        raise _Wrong(f"{key!r}: expected a whole number from 0 to {LARGEST}, got {_kind(value)}")
    return value


def _kind(value: object) -> str:
    if type(value) is int and abs(value) > LARGEST:
        # Python refuses to write numbers of more than 4,300 digits.
        return "a number of more than 64 bits"
    return repr(value) if isinstance(value, (int, float, bool)) or value is None else type(value).__name__
