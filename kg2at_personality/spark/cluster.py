"""The state of a Spark standalone cluster and what an application asks of it. Pure: no clock, no network.

Cores are counted in cores, memory in MiB. What the master would grant is in `placement`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import RequestError

ALIVE = "ALIVE"
Room = tuple[int, int]  # (cores free, MiB free) of a worker


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker (`WorkerInfo`). `state` is ALIVE, DEAD, DECOMMISSIONED or UNKNOWN (while the master recovers).

    `web_ui` is the address of its web UI, as the worker told it to the master.
    """

    host: str
    state: str
    cores: int
    cores_used: int
    memory_mib: int
    memory_used_mib: int
    id: str = ""
    web_ui: str = ""


@dataclass(frozen=True, slots=True)
class App:
    """One application (`ApplicationInfo`).

    `cores` are those it has: 0 while it waits, and after it lost all its executors; one that has ended keeps the
    number it had. `age_s` is in seconds since it began, by the master's own clock; None: not known.
    """

    id: str
    name: str
    user: str
    cores: int
    age_s: float | None = None


@dataclass(frozen=True, slots=True)
class AppIdentity:
    """How a master shows a driver's applications: `name` is `spark.app.name`, `user` the driver's `user.name`.

    `user` None: not known, so that applications of any user match. A master takes both as the driver tells them.
    """

    name: str
    user: str | None


@dataclass(frozen=True)
class ClusterState:
    """What a master said of its cluster.

    `url` is the master's own, `spark://...`; `status` is ALIVE, STANDBY, RECOVERING or COMPLETING_RECOVERY. `apps` wait
    or run, `completed` have ended.
    """

    url: str
    status: str
    workers: tuple[Worker, ...]
    apps: tuple[App, ...]
    completed: tuple[App, ...] = ()


@dataclass(frozen=True)
class ExecutorRequest:
    """The executors that an application asks for.

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
    def is_elastic(self) -> bool:
        """Whether its application gives executors back that are idle: it has dynamic allocation."""
        return self.initial_executors is not None

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


def needed(request: ExecutorRequest) -> int:
    """Return the cores that Spark gives the request at first, if they are free.

    Spark grants whole executors: `spark.cores.max` 5 with `spark.executor.cores` 2 gets 4. With dynamic allocation
    and no `spark.executor.cores` each of the first executors may be as small as one core.
    """
    return min(request.rounds, request.breadth) * request.size


def missing(request: ExecutorRequest, granted: int) -> ExecutorRequest | None:
    """Return what the request still lacks when its application has `granted` cores; None if it lacks nothing."""
    if granted >= needed(request):
        return None
    executors = request.initial_executors
    if executors is not None and request.executor_cores is not None:
        executors = max(1, executors) - granted // request.executor_cores
    return replace(request, cores_max=request.cores_max - granted, initial_executors=executors)


def limited(request: ExecutorRequest, tasks: int) -> ExecutorRequest:
    """Return the request, with no more than the whole executors that so many tasks, of one core each, need.

    That is what dynamic allocation asks for (`ExecutorAllocationManager.maxNumExecutorsNeededPerResourceProfile`, 3.5).
    Without `spark.executor.cores` it asks for executors as if they had one core, and each takes what is free.
    """
    executors, cores_max, limit = -(-max(0, tasks) // request.size), request.cores_max, request.initial_executors
    if not executors or request.executor_cores is not None:
        cores_max = min(cores_max, executors * request.size)
    return replace(request, cores_max=cores_max, initial_executors=None if limit is None else min(limit, executors))


def one_executor(request: ExecutorRequest) -> ExecutorRequest:
    """Return the request for one of its executors, with as few cores as it may have."""
    limit = request.initial_executors
    return replace(request, cores_max=request.size, initial_executors=None if limit is None else min(limit, 1))


def registration(app: App) -> tuple[float, int, str]:
    """Return the key by which applications are in the order in which they registered: the order that Spark serves.

    Those of one answer only. The master lists them in the order of a hash set (`JsonProtocol.writeMasterState`).
    """
    return -(app.age_s or 0.0), len(app.id), app.id


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
    """Return the totals over ALIVE workers."""
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
    """Return the workers that take executors."""
    return [worker for worker in state.workers if worker.state == ALIVE]


def free_room(worker: Worker) -> Room:
    """Return what is free on a worker: (cores, MiB)."""
    return max(0, worker.cores - worker.cores_used), max(0, worker.memory_mib - worker.memory_used_mib)
