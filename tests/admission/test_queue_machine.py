"""The queue and a fake master against any history: nobody is promised what another was, or is forgotten.

Nobody is passed, either, beyond what the order allows: see turn_judge.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kg2at_personality.admission.policy import AdmissionPolicy
from kg2at_personality.admission.queue import AdmissionQueue
from kg2at_personality.admission.request import AdmissionRequest
from kg2at_personality.errors import KG2ATError, MasterUnreachable
from kg2at_personality.spark.cluster import ClusterState, ExecutorRequest, needed
from kg2at_personality.spark.driver_report import DriverReport
from kg2at_personality.spark.master_state import cluster_state
from kg2at_personality.spark.placement import Placement
from tests.admission.turn_judge import TurnJudge
from tests.fakes.clock import VirtualLoop, ticks
from tests.fakes.examples import examples
from tests.fakes.master import FakeApp, FakeMaster

T = TypeVar("T")
GIB = 1024
silent = logging.getLogger("tests.admission")
silent.setLevel(logging.CRITICAL)


@dataclass(eq=False, repr=False)
class Kernel:
    """`sure`: nothing has happened since its admission that excuses the master from granting it all at once.

    With dynamic allocation its application may have lost executors, or given them back (`fell`), and the queue may know
    what its job needs (`noted`).
    """

    id: str
    wanted: ExecutorRequest
    user: str
    admitted: bool = False
    judged: int = 0  # the events that the answer knew by which it was let in
    sure: bool = False
    app: FakeApp | None = None
    used: bool = False  # had an application in this life
    fell: bool = False
    noted: bool = False
    reborn: bool = False  # the master may show applications of earlier lives, or of an earlier kernel with this id
    task: asyncio.Task[None] = field(init=False)


def idle(kernel: Kernel) -> bool:
    """It may touch Spark, for the first time or again."""
    return kernel.admitted and kernel.app is None


def hungry(kernel: Kernel) -> bool:
    """It lost cores, or was promised some that were lost, and takes any that are given back."""
    if kernel.app is not None:
        return kernel.app.cores < needed(kernel.wanted)
    return idle(kernel) and not kernel.used and not kernel.sure


def elastic(kernel: Kernel) -> bool:
    """It has an application with dynamic allocation."""
    return kernel.app is not None and kernel.wanted.initial_executors is not None


def request_of(kernel: Kernel) -> AdmissionRequest:
    return AdmissionRequest(kernel.id, "apache_toree_scala", kernel.user, kernel.wanted)


def one(data: st.DataObject, among: list[T]) -> T:
    """One of these, drawn by its number, so that histories are short to read."""
    return among[data.draw(st.integers(0, len(among) - 1))]


class Machine(RuleBasedStateMachine):
    """Executors of all sizes. `events` counts what no queue can foresee; `answered` was that in the last answer."""

    sizes: tuple[int | None, ...] = (None, 1, 2, 4)
    memories: tuple[int, ...] = (GIB // 2, GIB, 2 * GIB)
    initial: tuple[int | None, ...] = (None, None, 1, 2, 3)
    workers = 3
    calm = False
    order = "fifo"
    users: tuple[str, ...] = ("ann",)

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.master = FakeMaster(self.loop.time)
        self.policy = AdmissionPolicy(core_wait_timeout=30.0, max_queue=6, queue_order=self.order)
        self.queue = self.new_queue()
        self.kernels: list[Kernel] = []
        self.ended: list[str] = []  # kernel ids to be used again
        self.foreign: list[FakeApp] = []
        self.cores: dict[FakeApp, int] = {}  # of each application when we last looked
        self.numbers = itertools.count()
        self.delay = (0.0, 0.0)
        self.unreachable = False
        self.events = self.answered = 0
        for _ in range(self.workers):
            self.master.add_worker(4, 4 * GIB)

    def new_queue(self) -> AdmissionQueue:
        queue = AdmissionQueue(self.state, self.policy, clock=self.loop.time, log=silent)
        self.judge = TurnJudge(queue._waiting, queue._leases, is_fair=self.order == "fair")
        return queue

    async def state(self) -> ClusterState:
        await asyncio.sleep(self.delay[0])
        events, answer = self.events, self.master.to_json()
        await asyncio.sleep(self.delay[1])
        if self.unreachable:
            raise MasterUnreachable("http://master:8080", "connection refused")
        self.answered = events
        return cluster_state(answer)

    def run(self, seconds: float = 0.0) -> None:
        """Let the queue work, and see whom it let in."""

        async def pass_time() -> None:
            await asyncio.sleep(seconds)
            await ticks()

        self.loop.run_until_complete(pass_time())
        self.notice()

    def inside(self, call: Callable[[str], None], kernel_id: str) -> None:
        """Call it from the event loop, with nothing else running."""

        async def inside() -> None:
            call(kernel_id)

        self.loop.run_until_complete(inside())

    def notice(self) -> None:
        for kernel in [kernel for kernel in self.kernels if kernel.task.done() and not kernel.admitted]:
            if kernel.task.cancelled() or kernel.task.exception():
                self.kernels.remove(kernel)
                assert kernel.task.cancelled() or isinstance(kernel.task.exception(), KG2ATError)
            else:
                kernel.admitted, kernel.sure = True, kernel.judged == self.events

    def happened(self) -> None:
        """Something no queue can foresee: promises that are open now need not come true at once."""
        self.events += 1
        for kernel in self.kernels:
            kernel.sure = False

    def watch(self) -> None:
        """What somebody gives back may be taken by applications that wait for it, and for which no lease reserves it.

        They are others', and ours that have lost cores and of whose jobs the queue does not know.
        """
        ours = [kernel.app for kernel in self.kernels if kernel.app and kernel.fell and not kernel.noted]
        grown = [app for app in (*self.foreign, *ours) if app.cores > self.cores.get(app, 0)]
        if grown:
            self.happened()
        self.cores = {app: app.cores for app in self.master.apps}

    def some(self, data: st.DataObject, *, admitted: bool) -> Kernel | None:
        among = [kernel for kernel in self.kernels if kernel.admitted is admitted]
        return one(data, among) if among else None

    # Coming and going.

    @rule(data=st.data(), count=st.sampled_from([1, 1, 2, 4]), again=st.booleans(), at_once=st.booleans())
    def acquire(self, data: st.DataObject, count: int, again: bool, at_once: bool) -> None:
        for _ in range(count):
            size, memory = data.draw(st.sampled_from(self.sizes)), data.draw(st.sampled_from(self.memories))
            cores, initial = data.draw(st.integers(size or 1, 6)), data.draw(st.sampled_from(self.initial))
            wanted = ExecutorRequest(cores, size, memory, initial)
            user = one(data, list(self.users))
            self.kernels.append(self.ask(wanted, user, self.ended.pop() if again and self.ended else None))
        if at_once:
            self.run()

    def ask(self, wanted: ExecutorRequest, user: str, again: str | None) -> Kernel:
        kernel_id = again or str(uuid.UUID(int=next(self.numbers)))
        kernel = Kernel(kernel_id, wanted, user, reborn=again is not None)
        kernel.task = self.loop.create_task(self.queue.acquire(request_of(kernel)))
        kernel.task.add_done_callback(lambda _: setattr(kernel, "judged", self.answered))
        return kernel

    @precondition(lambda self: any(not kernel.admitted for kernel in self.kernels))
    @rule(data=st.data(), steps=st.integers(0, 8))
    def cancel(self, data: st.DataObject, steps: int) -> None:
        """After any number of turns of the event loop, so also between admission and resumption."""
        kernel = self.some(data, admitted=False)
        if kernel is not None:
            self.loop.run_until_complete(ticks(steps))
            if not kernel.task.done():
                kernel.task.cancel()
                self.loop.run_until_complete(asyncio.wait([kernel.task]))
                assert kernel.task.cancelled()
                assert not self.queue.holds(kernel.id)
        self.run()

    @precondition(lambda self: any(kernel.admitted for kernel in self.kernels))
    @rule(data=st.data(), delayed=st.booleans())
    def release(self, data: st.DataObject, delayed: bool) -> None:
        kernel = self.some(data, admitted=True)
        if kernel is not None:
            self.end(kernel)
            self.kernels.remove(kernel)
            self.inside(self.queue.release, kernel.id)
            self.inside(self.queue.release, kernel.id)
            self.ended.append(kernel.id)
        self.run(1.5 if delayed else 0.0)

    @precondition(lambda self: any(kernel.admitted for kernel in self.kernels))
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        """A restart can't wait. Its cores are there again, but only executors of one size find them in any order."""
        kernel = self.some(data, admitted=True)
        if kernel is not None:
            before = self.events
            held_all = kernel.app is not None and not any(map(hungry, self.kernels))
            self.end(kernel)
            self.inside(self.queue.renew, kernel.id)
            if kernel.used and not (held_all and len(self.sizes) == 1):
                self.happened()
            kernel.sure = self.events == before and (kernel.sure or kernel.used)
            kernel.used, kernel.reborn = False, True
        self.run(10.0)  # no new JVM registers sooner

    @rule()
    def gateway_restarts(self) -> None:
        """Whoever waits is refused; those that run keep what they have, or are promised."""
        self.loop.run_until_complete(self.queue.close())
        self.run()
        self.queue = self.new_queue()
        for kernel in self.kernels:
            kernel.noted = False
            self.adopt(kernel)

    def adopt(self, kernel: Kernel) -> None:
        def adopt(_kernel_id: str) -> None:
            self.queue.adopt(request_of(kernel), restarted=kernel.reborn)

        self.inside(adopt, kernel.id)

    def end(self, kernel: Kernel) -> None:
        if kernel.app is not None:
            self.master.finish(kernel.app)
            kernel.app, kernel.fell, kernel.noted = None, False, False
            self.watch()

    # What kernels do.

    @precondition(lambda self: self.master.status == "ALIVE" and any(map(idle, self.kernels)))
    @rule(data=st.data())
    def first_use(self, data: st.DataObject) -> None:
        """In any order, and any time after the admission: here is what all of this is for."""
        self.use(one(data, [kernel for kernel in self.kernels if idle(kernel)]))

    @precondition(lambda self: self.master.status == "ALIVE" and any(map(idle, self.kernels)))
    @rule(data=st.data())
    def all_use_it(self, data: st.DataObject) -> None:
        kernels = [kernel for kernel in self.kernels if idle(kernel)]
        for number in data.draw(st.permutations(range(len(kernels)))):
            self.use(kernels[number])

    def use(self, kernel: Kernel) -> None:
        if kernel.used:
            self.happened()  # after sc.stop() the cores were everybody's
        self.start(kernel)
        if kernel.sure:
            assert kernel.app is not None
            assert kernel.app.cores >= needed(kernel.wanted), "more was promised than there is"

    def start(self, kernel: Kernel) -> None:
        wanted = kernel.wanted
        name, limit = f"Apache Toree - Scala {kernel.id}", wanted.initial_executors
        kernel.app = self.master.submit(
            name, wanted.cores_max, wanted.executor_cores, wanted.executor_memory_mib, limit
        )
        kernel.used = True
        self.master.step()
        self.watch()

    @precondition(lambda self: any(kernel.app for kernel in self.kernels))
    @rule(data=st.data())
    def sc_stop(self, data: st.DataObject) -> None:
        among = [kernel for kernel in self.kernels if kernel.app is not None]
        if among:
            self.end(one(data, among))
        self.run()

    # Dynamic allocation.

    @precondition(lambda self: any(map(elastic, self.kernels)))
    @rule(data=st.data(), noted=st.booleans(), delayed=st.booleans())
    def job_begins(self, data: st.DataObject, noted: bool, delayed: bool) -> None:
        """Its driver asks for the executors that its tasks need. Those that it gave back were everybody's."""
        kernel, app = self.one_elastic(data)
        executors = data.draw(st.integers(1, kernel.wanted.initial_executors or 1))
        kernel.noted = noted
        if noted:
            tasks = executors * kernel.wanted.size
            self.note(kernel, DriverReport(app_id=app.id, jobs=1, tasks=tasks, executors=len(app.executors)), True)
        if kernel.fell and executors > len(app.executors):
            self.happened()
        self.master.request_executors(app, executors)
        self.watch()
        self.run(6.0 if delayed else 0.0)

    @precondition(lambda self: any(map(elastic, self.kernels)))
    @rule(data=st.data(), noted=st.booleans(), delayed=st.booleans())
    def job_ends(self, data: st.DataObject, noted: bool, delayed: bool) -> None:
        """It gives back some of its executors, or all, or none yet, and asks for no others."""
        kernel, app = self.one_elastic(data)
        kept = data.draw(st.integers(0, len(app.executors)))
        kernel.fell, kernel.noted = True, noted
        if noted:
            self.note(kernel, DriverReport(app_id=app.id, executors=kept, idle_since=1.0), False)
        self.master.kill_executors(app, kept)
        self.watch()
        self.run(6.0 if delayed else 0.0)

    def one_elastic(self, data: st.DataObject) -> tuple[Kernel, FakeApp]:
        kernel = one(data, [kernel for kernel in self.kernels if elastic(kernel)])
        assert kernel.app is not None
        return kernel, kernel.app

    def note(self, kernel: Kernel, report: DriverReport, is_busy: bool) -> None:
        self.inside(lambda kernel_id: self.queue.note_work(kernel_id, report, is_busy), kernel.id)

    # What else happens to a cluster.

    @precondition(lambda self: not self.calm and self.master.status == "ALIVE" and len(self.foreign) < 3)
    @rule(cores=st.integers(1, 5) | st.none(), size=st.none() | st.integers(1, 4))
    def foreign_app_comes(self, cores: int | None, size: int | None) -> None:
        self.foreign.append(self.master.submit("nightly", cores, size, GIB))
        self.master.step()
        self.watch()

    @precondition(lambda self: bool(self.foreign))
    @rule(data=st.data())
    def foreign_app_goes(self, data: st.DataObject) -> None:
        if self.foreign:
            app = one(data, self.foreign)
            self.foreign.remove(app)
            self.master.finish(app)
            self.watch()

    @precondition(lambda self: not self.calm)
    @rule(data=st.data())
    def worker_dies(self, data: st.DataObject) -> None:
        alive = [worker for worker in self.master.workers if worker.state == "ALIVE"]
        if len(alive) > 1:
            self.happened()
            for kernel in self.kernels:
                kernel.fell = kernel.fell or elastic(kernel)
            self.master.kill_worker(one(data, alive))
            self.watch()

    @precondition(lambda self: not self.calm)
    @rule(cores=st.integers(1, 6))
    def worker_comes(self, cores: int) -> None:
        if sum(worker.state == "ALIVE" for worker in self.master.workers) < 4:
            self.master.add_worker(cores, 4 * GIB)
            self.watch()

    @precondition(lambda self: not self.calm or self.master.status != "ALIVE")
    @rule(recovering=st.booleans())
    def fail_over(self, recovering: bool) -> None:
        self.master.status = "RECOVERING" if recovering else "ALIVE"
        self.master.schedule()
        self.watch()

    @rule(
        unreachable=st.sampled_from([False, False, True]),
        delay=st.tuples(st.sampled_from([0.0, 0.2]), st.sampled_from([0.0, 0.4])),
    )
    def network(self, unreachable: bool, delay: tuple[float, float]) -> None:
        self.unreachable, self.delay = unreachable, delay

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, 6.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(seconds)

    @precondition(lambda self: self.master.status == "ALIVE" and not self.unreachable)
    @rule()
    def nobody_starves(self) -> None:
        """Some polls later the first in the queue is in if it fits beside what is promised in the same size."""
        first = self.waiting_ids()[:1]
        self.run(3.0)
        waiting = [kernel for kernel in self.kernels if kernel.id in first and not kernel.admitted]
        placement = Placement(cluster_state(self.master.to_json()))
        rests = [lease.outstanding for lease in self.queue._leases.held if lease.outstanding]
        if waiting and (len(self.sizes) == 1 or not rests):
            for rest in rests:
                placement.place(rest)
            assert placement.grantable(waiting[0].wanted) < needed(waiting[0].wanted), "the first is starved"

    def waiting_ids(self) -> list[str]:
        """Those that wait, in the order that the status shows."""
        return [row["kernel_id"] for row in self.queue.status()["queue"] if row["app_id"] is None]

    @invariant()
    def nothing_is_lost_or_leaked(self) -> None:
        self.run()
        status = json.loads(json.dumps(self.queue.status()))
        waiting = [entry.waiter.request.kernel_id for entry in self.queue._waiting.entries]
        assert sorted(waiting) == sorted(kernel.id for kernel in self.kernels if not kernel.admitted)
        assert set(status["leases"]) == {kernel.id for kernel in self.kernels if kernel.admitted}
        assert [row["position"] for row in status["queue"]] == list(range(1, len(status["queue"]) + 1))
        line = [row for row in status["queue"] if row["app_id"]]
        assert status["queue"] == line + status["queue"][len(line) :], "applications are ahead of all that wait here"
        assert [row["app_id"] for row in line] == sorted(row["app_id"] for row in line)
        assert {row["kernel_id"] for row in line} <= set(status["leases"])
        assert [row["kernel_id"] for row in status["queue"][len(line) :]] == waiting
        assert sum(entry.waiter.examined for entry in self.queue._waiting.entries) <= self.policy.max_queue

    def teardown(self) -> None:
        for kernel in self.kernels:
            kernel.task.cancel()
            self.inside(self.queue.release, kernel.id)
        self.loop.run_until_complete(self.queue.close())
        self.loop.run_until_complete(ticks())
        assert self.queue.status()["queue"] == []
        assert self.queue.status()["leases"] == {}
        assert not asyncio.all_tasks(self.loop)
        self.loop.close()


class OneSize(Machine):
    """Executors of one size only: placement is exact, and restarts are safe as well."""

    sizes = (2,)
    memories = (GIB,)


class Calm(Machine):
    """Nobody else is on the cluster: every promise has to come true, in whatever order it is called in."""

    sizes = (None, 1, 2, 4)
    memories = (GIB,)
    calm = True


class Elastic(Machine):
    """Large executors wait for room that small ones could take: what a job needs is nobody else's."""

    sizes = (1, 4)
    memories = (GIB,)
    initial = (1, 2, 3)
    workers = 1
    calm = True


class Fair(Machine):
    """Several users take turns."""

    order = "fair"
    users = ("ann", "bob", "eve", "")


class FairOneSize(OneSize):
    """They do, on a cluster that is soon full."""

    order = "fair"
    users = ("ann", "bob", "eve")
    workers = 1
    calm = True


class FirstCome(Machine):
    """Several users are served in the order in which they come."""

    users = ("ann", "bob")


steady = settings(max_examples=examples(100), stateful_step_count=30)
TestAllSizes = Machine.TestCase
TestAllSizes.settings = steady
TestCalm = Calm.TestCase
TestCalm.settings = steady
TestOneSize = OneSize.TestCase
TestOneSize.settings = steady
TestElastic = Elastic.TestCase
TestElastic.settings = steady
TestFair = Fair.TestCase
TestFair.settings = steady
TestFairOneSize = FairOneSize.TestCase
TestFairOneSize.settings = steady
TestFirstCome = FirstCome.TestCase
TestFirstCome.settings = steady
