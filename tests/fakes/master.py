"""A Spark standalone master: its scheduler as a synchronous model; `master_server` serves it over HTTP.

`FakeMaster` follows `org.apache.spark.deploy.master.Master` of Spark 3.5 line by line, and shares no code with
`kg2at_personality.spark.cluster`. Nothing in it moves but by a call: `step()` looks at the clock, registers the
applications that are due, and schedules.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

UNLIMITED = 2**31 - 1
Shape = Literal["2.0", "2.4", "3.5"]
Ties = Callable[["FakeWorker"], Any]


@dataclass(eq=False)
class FakeExecutor:
    """`ExecutorDesc`."""

    app: FakeApp
    worker: FakeWorker
    cores: int
    memory_mib: int


@dataclass(eq=False)
class FakeWorker:
    """`WorkerInfo`."""

    id: str
    host: str
    port: int
    cores: int
    memory_mib: int
    state: str = "ALIVE"
    executors: list[FakeExecutor] = field(default_factory=list)
    web_ui: str = ""

    @property
    def cores_free(self) -> int:
        return self.cores - sum(executor.cores for executor in self.executors)

    @property
    def memory_free(self) -> int:
        return self.memory_mib - sum(executor.memory_mib for executor in self.executors)


@dataclass(eq=False)
class FakeApp:
    """`ApplicationInfo`: `cores_max` None asks for every core, `executor_limit` is dynamic allocation's target."""

    name: str
    cores_max: int | None
    executor_cores: int | None
    memory_mib: int
    executor_limit: int | None
    user: str
    due: float
    id: str = ""
    state: str = "WAITING"
    executors: list[FakeExecutor] = field(default_factory=list)
    cores_at_end: int = 0
    began: float = 0.0

    @property
    def cores(self) -> int:
        return sum(executor.cores for executor in self.executors)

    @property
    def cores_left(self) -> int:
        return (UNLIMITED if self.cores_max is None else self.cores_max) - self.cores


class FakeMaster:
    """The model. `ties` orders workers with equally many free cores, as Spark's hash set does; default: at random."""

    def __init__(
        self,
        clock: Callable[[], float] = lambda: 0.0,
        *,
        status: str = "ALIVE",
        spread_out: bool = True,
        ties: Ties | None = None,
        seed: int = 0,
        kill_enabled: bool = True,
    ) -> None:
        self.clock = clock
        self.epoch = time.time() - clock()  # when the clock stood at 0, in seconds since the epoch
        self.kill_enabled = kill_enabled  # spark.ui.killEnabled
        self.status = status
        self.spread_out = spread_out
        self.url = "spark://127.0.0.1:7077"
        self.workers: list[FakeWorker] = []
        self.submitted: list[FakeApp] = []  # not registered yet
        self.apps: list[FakeApp] = []  # registered, in order: waitingApps and the running ones
        self.completed: list[FakeApp] = []
        self._random = random.Random(seed)
        self._ties: Ties = ties or (lambda _: self._random.random())
        self._numbers = iter(range(1_000_000))

    # What happens to a cluster. Every change but `submit` schedules at once, as in Spark.

    def add_worker(self, cores: int, memory_mib: int, host: str = "127.0.0.1") -> FakeWorker:
        """`RegisterWorker`. A DEAD entry of the same host and port would go; every one here gets a new port."""
        number = next(self._numbers)
        worker = FakeWorker(f"worker-{number}", host, 40000 + number, cores, memory_mib)
        self.workers.append(worker)
        self.schedule()
        return worker

    def kill_worker(self, worker: FakeWorker, state: str = "DEAD") -> None:
        """`removeWorker`: its executors are lost, the applications stay RUNNING and get others where there is room."""
        worker.state = state
        for executor in list(worker.executors):
            self._drop(executor)
        self.schedule()

    def revive_worker(self, worker: FakeWorker) -> FakeWorker:
        """Register the same machine again: a new id and port, the DEAD entry stays in the list."""
        return self.add_worker(worker.cores, worker.memory_mib, worker.host)

    def submit(
        self,
        name: str,
        cores_max: int | None = 1,
        executor_cores: int | None = None,
        memory_mib: int = 1024,
        executor_limit: int | None = None,
        user: str = "someone",
        delay: float = 0.0,
    ) -> FakeApp:
        """Submit an application, which registers at the first `step()` after `delay` seconds."""
        due = self.clock() + delay
        app = FakeApp(name, cores_max, executor_cores, memory_mib, executor_limit, user, due)
        self.submitted.append(app)
        return app

    def request_executors(self, app: FakeApp, total: int) -> None:
        """`RequestExecutors`, from dynamic allocation."""
        app.executor_limit = total
        self.schedule()

    def kill_executors(self, app: FakeApp, kept: int) -> None:
        """`KillExecutors`, from dynamic allocation, which wants no others in their place: so many are kept."""
        app.executor_limit = kept
        for executor in app.executors[kept:]:
            self._drop(executor)
        self.schedule()

    def finish(self, app: FakeApp, state: str = "FINISHED") -> None:
        """`removeApplication`; a no-op for one that has ended. One not registered yet never does."""
        if app in self.submitted:
            self.submitted.remove(app)
        if app in self.apps:
            app.cores_at_end = app.cores
            for executor in list(app.executors):
                self._drop(executor)
            app.state = state
            self.apps.remove(app)
            self.completed.append(app)
            self.schedule()

    def kill(self, app_id: str) -> None:
        """`handleAppKillRequest`: an unknown id is none, and nobody is told that killing is off."""
        for app in [app for app in self.apps if app.id == app_id and self.kill_enabled]:
            self.finish(app, "KILLED")

    def fail_over_to(self, other: FakeMaster) -> None:
        """Lose this master, which comes back as STANDBY; `other` starts to recover what was registered here."""
        other.workers, other.apps, other.completed = self.workers, self.apps, []
        other.submitted = self.submitted
        self.workers, self.apps, self.completed, self.submitted = [], [], [], []
        self.status, other.status = "STANDBY", "RECOVERING"
        for worker in other.workers:
            worker.state = "UNKNOWN" if worker.state == "ALIVE" else worker.state

    def complete_recovery(self) -> None:
        """`completeRecovery`: workers that answered are ALIVE again."""
        for worker in self.workers:
            worker.state = "ALIVE" if worker.state == "UNKNOWN" else worker.state
        self.status = "ALIVE"
        self.schedule()

    def step(self) -> None:
        """Register what is due by the clock, in the order it is due, scheduling after each as Spark does."""
        if self.status == "ALIVE":
            due = [app for app in self.submitted if app.due <= self.clock()]
            for app in sorted(due, key=lambda app: app.due):
                self.submitted.remove(app)
                app.began = self.clock()
                app.id = f"app-20260101000000-{next(self._numbers):04d}"
                self.apps.append(app)
                self.schedule()

    # The scheduler: Master.scala.

    def schedule(self) -> None:
        """`schedule` and `startExecutorsOnWorkers`: first come first tried; one that does not fit blocks nobody."""
        if self.status != "ALIVE":
            return
        for app in self.apps:
            cores_per_executor = app.executor_cores or 1
            if app.cores_left >= cores_per_executor:
                usable = [
                    worker
                    for worker in self.workers
                    if worker.state == "ALIVE"
                    and worker.memory_free >= app.memory_mib
                    and worker.cores_free >= cores_per_executor
                ]
                usable.sort(key=lambda worker: (-worker.cores_free, self._ties(worker)))
                for worker, assigned in zip(usable, self._schedule_executors_on_workers(app, usable), strict=True):
                    self._allocate(app, worker, assigned)

    def _schedule_executors_on_workers(self, app: FakeApp, usable: list[FakeWorker]) -> list[int]:
        """`scheduleExecutorsOnWorkers`: cores to give on each worker."""
        min_cores = app.executor_cores or 1
        one_executor_per_worker = app.executor_cores is None
        limit = UNLIMITED if app.executor_limit is None else app.executor_limit
        assigned_cores = [0] * len(usable)
        assigned_executors = [0] * len(usable)
        cores_to_assign = min(app.cores_left, sum(worker.cores_free for worker in usable))

        def can_launch(pos: int) -> bool:
            keep = cores_to_assign >= min_cores
            enough_cores = usable[pos].cores_free - assigned_cores[pos] >= min_cores
            if not one_executor_per_worker or assigned_executors[pos] == 0:
                assigned_memory = assigned_executors[pos] * app.memory_mib
                enough_memory = usable[pos].memory_free - assigned_memory >= app.memory_mib
                under_limit = sum(assigned_executors) + len(app.executors) < limit
                return keep and enough_cores and enough_memory and under_limit
            return keep and enough_cores

        free = [pos for pos in range(len(usable)) if can_launch(pos)]
        while free:
            for pos in free:
                keep_scheduling = True
                while keep_scheduling and can_launch(pos):
                    cores_to_assign -= min_cores
                    assigned_cores[pos] += min_cores
                    assigned_executors[pos] = 1 if one_executor_per_worker else assigned_executors[pos] + 1
                    keep_scheduling = not self.spread_out
            free = [pos for pos in free if can_launch(pos)]
        return assigned_cores

    def _allocate(self, app: FakeApp, worker: FakeWorker, assigned: int) -> None:
        """`allocateWorkerResourceToExecutors`."""
        if assigned:
            size = app.executor_cores or assigned
            for _ in range(assigned // size):
                executor = FakeExecutor(app, worker, size, app.memory_mib)
                app.executors.append(executor)
                worker.executors.append(executor)
            app.state = "RUNNING"

    def _drop(self, executor: FakeExecutor) -> None:
        executor.app.executors.remove(executor)
        executor.worker.executors.remove(executor)

    # What it says: JsonProtocol.

    def to_json(self, shape: Shape = "3.5") -> dict[str, Any]:
        """`writeMasterState`."""
        alive = [worker for worker in self.workers if worker.state == "ALIVE"]
        state: dict[str, Any] = {"url": self.url, "workers": [_worker_json(worker, shape) for worker in self.workers]}
        if shape != "2.0":
            state["aliveworkers"] = len(alive)
        state |= {
            "cores": sum(worker.cores for worker in alive),
            "coresused": sum(worker.cores - worker.cores_free for worker in alive),
            "memory": sum(worker.memory_mib for worker in alive),
            "memoryused": sum(worker.memory_mib - worker.memory_free for worker in alive),
        }
        if shape == "3.5":
            state |= {"resources": [{} for _ in alive], "resourcesused": [{} for _ in alive]}
        state["activeapps"] = [_app_json(app, app.cores, shape, self.epoch) for app in self.apps]
        state["completedapps"] = [_app_json(app, app.cores_at_end, shape, self.epoch) for app in self.completed]
        state["activedrivers"] = []
        if shape != "2.0":
            state["completeddrivers"] = []
        return state | {"status": self.status}


def _worker_json(worker: FakeWorker, shape: Shape) -> dict[str, Any]:
    resources: dict[str, Any] = {"resources": {}, "resourcesused": {}, "resourcesfree": {}} if shape == "3.5" else {}
    return {
        "id": worker.id,
        "host": worker.host,
        "port": worker.port,
        "webuiaddress": worker.web_ui or f"http://{worker.host}:8081",
        "cores": worker.cores,
        "coresused": worker.cores - worker.cores_free,
        "coresfree": worker.cores_free,
        "memory": worker.memory_mib,
        "memoryused": worker.memory_mib - worker.memory_free,
        "memoryfree": worker.memory_free,
        **resources,
        "state": worker.state,
        "lastheartbeat": 1795376655957,
    }


def _app_json(app: FakeApp, granted: int, shape: Shape, epoch: float) -> dict[str, Any]:
    began = int((epoch + app.began) * 1000)
    record: dict[str, Any] = {"id": app.id, "starttime": began, "name": app.name, "cores": granted}
    if shape == "2.0":
        record.pop("cores")
        record |= {} if app.cores_max is None else {"cores": app.cores_max}
    record["user"] = app.user
    if shape == "3.5":
        record |= {"memoryperexecutor": app.memory_mib, "resourcesperexecutor": [], "resourcesperslave": []}
    record |= {"memoryperslave": app.memory_mib, "submitdate": "Thu Jan 01 00:00:00 UTC 2026"}
    return record | {"state": app.state, "duration": 2656}
