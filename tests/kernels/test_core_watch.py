"""Which cells wait for cores, and what their notebooks are told, in virtual time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from traitlets import HasTraits, Instance, Unicode

from kg2at_personality.admission.application_wait import ApplicationWait
from kg2at_personality.kernels.core_wait import CoreWait
from kg2at_personality.kernels.core_watch import CoreWatch
from kg2at_personality.kernels.timing import Timing
from kg2at_personality.spark.cluster import ExecutorRequest
from kg2at_personality.spark.driver_report import DriverReport
from kg2at_personality.spark.executor_deaths import ExecutorDeaths
from kg2at_personality.spark.redaction import Redactor
from tests.fakes.clock import VirtualLoop, ticks

TIMES = Timing()
LACKS = DriverReport(app_id="app-1", jobs=1, tasks=4)
RUNS = DriverReport(app_id="app-1", jobs=1, tasks=4, executors=1)
WAIT = ApplicationWait("k", "app-1", 1, 1, "Waiting for 1 core: 0 of 2 are free.")


class Kernel(HasTraits):
    """A kernel that has been admitted with two executors of a core."""

    execution_state = Unicode("idle")
    core_wait = Instance(CoreWait, allow_none=True)
    core_note = Unicode("")
    log = logging.getLogger("test")

    def __init__(self, kernel_id: str = "k", initial: int | None = None) -> None:
        super().__init__()
        self.kernel_id = kernel_id
        request = SimpleNamespace(executors=ExecutorRequest(2, 1, 512, initial))
        self.admission: Any = SimpleNamespace(request=request)
        self.report: DriverReport | None = None
        self.kind = SimpleNamespace(driver_report=lambda: self.report, redactor=lambda: Redactor())
        self.interrupts: list[float] = []
        self.refuses: Exception | None = None

    async def interrupt_kernel(self) -> None:
        self.interrupts.append(asyncio.get_running_loop().time())
        if self.refuses is not None:
            raise self.refuses


class Clusters:
    """What the queue says, and what it was told."""

    def __init__(self) -> None:
        self.held, self.waits, self.back = {"k"}, dict[str, ApplicationWait](), dict[str, int]()
        self.notes: list[tuple[str, DriverReport | None, bool]] = []
        self.dead: list[ExecutorDeaths] = []
        self.asked: list[str] = []

    def holds(self, kernel_id: str) -> bool:
        return kernel_id in self.held

    def note_work(self, kernel_id: str, report: DriverReport | None, is_busy: bool) -> None:
        self.notes.append((kernel_id, report, is_busy))

    def wait_of(self, kernel_id: str) -> ApplicationWait | None:
        return self.waits.get(kernel_id)

    def given_back(self, kernel_id: str) -> int:
        return self.back.get(kernel_id, 0)

    async def deaths(self, kernel_id: str, app_id: str, redactor: Redactor) -> ExecutorDeaths:
        self.asked.append(app_id)
        return self.dead[-1] if self.dead else ExecutorDeaths()


class Scene:
    """One kernel, which is watched."""

    def __init__(self, kernel: Kernel | None = None, limit: float = 0) -> None:
        self.kernel, self.clusters = kernel or Kernel(), Clusters()
        self.tasks: list[asyncio.Future[None]] = []
        self.listed: list[Any] = [self.kernel]
        self.watch = CoreWatch(self)  # type: ignore[arg-type]
        self.supplies: Any = SimpleNamespace(clusters=self.clusters)
        self.timing, self.job_wait_timeout, self.log = TIMES, limit, logging.getLogger("test")
        self.watch.follow(self.kernel)  # type: ignore[arg-type]

    def kernels(self) -> list[Any]:
        return self.listed

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    async def wait(self, wait: ApplicationWait | None = WAIT, report: DriverReport | None = LACKS) -> None:
        """Have a cell that waits, until its notebook has been told."""
        self.kernel.report = report
        if wait is not None:
            self.clusters.waits["k"] = wait
        self.kernel.execution_state = "busy"
        await asyncio.sleep(2 * TIMES.core_look + TIMES.core_grace)

    @property
    def told(self) -> str:
        return self.kernel.core_wait.message if self.kernel.core_wait else ""

    @property
    def is_running(self) -> bool:
        return any("CoreWatch" in repr(task) for task in asyncio.all_tasks())


@pytest.fixture(autouse=True)
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    asyncio.set_event_loop(made)
    yield made
    for task in asyncio.all_tasks(made):
        task.cancel()
    made.run_until_complete(ticks())
    asyncio.set_event_loop(None)
    made.close()


def play(loop: VirtualLoop, scene: Coroutine[Any, Any, None]) -> None:
    loop.run_until_complete(asyncio.wait_for(scene, 10_000))


def test_a_cell_that_waits_is_told_with_its_time_and_not_after_it(loop: VirtualLoop) -> None:
    async def scene() -> None:
        stage = Scene()
        await stage.wait()
        assert stage.told == f"{WAIT.message} (0 s so far)" or stage.told == f"{WAIT.message} (1 s so far)"
        await asyncio.sleep(11)
        assert "(11 s so far)" in stage.told or "(12 s so far)" in stage.told
        stage.clusters.waits.clear()
        stage.kernel.report = RUNS
        await asyncio.sleep(TIMES.core_look)
        assert stage.kernel.core_wait is None
        assert stage.kernel.interrupts == []

    play(loop, scene())


def test_a_wait_that_is_over_at_once_is_not_told(loop: VirtualLoop) -> None:
    async def scene() -> None:
        stage = Scene(Kernel(initial=2))
        seen = list[Any]()
        stage.kernel.observe(seen.append, "core_wait")
        await stage.wait()
        assert stage.told == "", "with dynamic allocation it asks for an executor after a second"
        stage.clusters.waits.clear()
        stage.kernel.report = RUNS
        await asyncio.sleep(10)
        assert seen == []
        stage.kernel.report, stage.clusters.waits["k"] = LACKS, WAIT
        await asyncio.sleep(TIMES.elastic_core_grace + 2 * TIMES.core_look)
        assert stage.told != ""

    play(loop, scene())


@pytest.mark.parametrize("state", ["idle", "dead", "starting"])
def test_with_its_cell_a_wait_is_over(loop: VirtualLoop, state: str) -> None:
    async def scene() -> None:
        stage = Scene()
        await stage.wait()
        assert stage.told
        stage.kernel.execution_state = state
        assert stage.told == "", "at once, not with the next look"
        await asyncio.sleep(TIMES.idle_core_look)
        assert stage.told == "" and stage.clusters.notes[-1] == ("k", LACKS, False)

    play(loop, scene())


def test_the_next_cell_waits_from_its_own_begin_on(loop: VirtualLoop) -> None:
    async def scene() -> None:
        stage = Scene()
        await stage.wait()
        await asyncio.sleep(100)
        stage.kernel.execution_state = "idle"
        stage.kernel.execution_state = "busy"
        await asyncio.sleep(TIMES.core_look + TIMES.core_grace + 2)
        assert "(2 s so far)" in stage.told or "(3 s so far)" in stage.told

    play(loop, scene())


def test_the_queue_is_told_what_a_kernel_does_sooner_while_it_is_busy(loop: VirtualLoop) -> None:
    async def scene() -> None:
        stage = Scene()
        stage.kernel.report = RUNS
        await asyncio.sleep(0.1)
        assert stage.clusters.notes == [("k", RUNS, False)]
        stage.kernel.execution_state = "busy"
        await asyncio.sleep(TIMES.core_look / 2)
        assert stage.clusters.notes[1:] == []
        await asyncio.sleep(10 * TIMES.core_look)
        assert 9 <= len(stage.clusters.notes[1:]) <= 11
        assert {is_busy for _, _, is_busy in stage.clusters.notes[1:]} == {True}
        count = len(stage.clusters.notes)
        stage.kernel.execution_state = "idle"
        assert stage.clusters.notes[count:] == [("k", RUNS, False)], "at once"
        count += 1
        await asyncio.sleep(4 * TIMES.idle_core_look)
        assert len(stage.clusters.notes) - count in (3, 4)

    play(loop, scene())


def test_short_cells_cost_nothing(loop: VirtualLoop) -> None:
    async def scene() -> None:
        stage = Scene()
        await asyncio.sleep(0.1)
        for _ in range(100):
            stage.kernel.execution_state = "busy"
            await asyncio.sleep(TIMES.core_look / 10)
            stage.kernel.execution_state = "idle"
            await asyncio.sleep(TIMES.core_look / 10)
        assert len(stage.clusters.notes) <= 1 + 100 * TIMES.core_look / 5 / TIMES.idle_core_look + 1

    play(loop, scene())


def test_the_others_are_looked_at_seldom_while_one_is_busy(loop: VirtualLoop) -> None:
    async def scene() -> None:
        stage, other = Scene(), Kernel("other")
        stage.listed.append(other)
        stage.clusters.held.add("other")
        await stage.wait()
        await asyncio.sleep(2 * TIMES.idle_core_look)
        assert sum(kernel_id == "other" for kernel_id, _, _ in stage.clusters.notes) == 3
        assert sum(kernel_id == "k" for kernel_id, _, _ in stage.clusters.notes) > 30

    play(loop, scene())


def test_nobody_is_watched_without_a_lease_and_the_task_ends(loop: VirtualLoop) -> None:
    async def scene() -> None:
        stage = Scene()
        await stage.wait()
        assert stage.is_running
        stage.clusters.held.clear()
        await asyncio.sleep(TIMES.core_look)
        await ticks()
        assert not stage.is_running
        stage.kernel.admission = None
        stage.kernel.execution_state = "idle"
        stage.kernel.execution_state = "busy"
        await ticks()
        assert not stage.is_running, "a kernel that asks for no cores costs nothing"

    play(loop, scene())


def test_one_that_fails_keeps_no_other_from_being_watched(loop: VirtualLoop, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        stage = Scene()
        broken = Kernel("broken")
        broken.kind = SimpleNamespace(driver_report=lambda: 1 / 0)
        stage.listed.insert(0, broken)
        stage.clusters.held.add("broken")
        await stage.wait()
        assert stage.told and "Kernel broken can't be watched" in caplog.text

    play(loop, scene())


class TestTheLimit:
    """`job_wait_timeout`."""

    def test_then_the_cell_is_interrupted_once_and_is_told_why(self, loop: VirtualLoop) -> None:
        async def scene() -> None:
            stage = Scene(limit=10)
            await stage.wait()
            await asyncio.sleep(9)
            assert stage.kernel.core_wait == CoreWait(stage.told) and not stage.kernel.interrupts
            await asyncio.sleep(1.5)
            assert stage.kernel.core_wait == CoreWait(f"{WAIT.message} (10 s so far)", is_over=True)
            await asyncio.sleep(20)
            assert len(stage.kernel.interrupts) == 1
            stage.kernel.execution_state = "idle"
            assert stage.kernel.core_wait is None
            await stage.wait()
            assert not stage.kernel.core_wait.is_over, "the next cell has its own time"

        play(loop, scene())

    def test_a_cell_that_has_cores_may_take_longer(self, loop: VirtualLoop) -> None:
        async def scene() -> None:
            stage = Scene(limit=10)
            await stage.wait(wait=None, report=LACKS)  # its executor starts
            await asyncio.sleep(30)
            assert stage.told == "" and not stage.kernel.interrupts

        play(loop, scene())

    def test_an_interrupt_that_is_refused_is_logged(self, loop: VirtualLoop, caplog: pytest.LogCaptureFixture) -> None:
        async def scene() -> None:
            stage = Scene(limit=10)
            stage.kernel.refuses = PermissionError("EPERM")
            await stage.wait()
            await asyncio.sleep(20)
            assert "could not be interrupted: EPERM" in caplog.text and stage.told

        play(loop, scene())


class TestExecutors:
    """Those that end as soon as they start."""

    def deaths(self, count: int) -> ExecutorDeaths:
        return ExecutorDeaths(count, ("Error: no such option",))

    def test_they_are_asked_for_after_some_time_and_told(self, loop: VirtualLoop) -> None:
        async def scene() -> None:
            stage = Scene()
            stage.clusters.dead.append(self.deaths(3))
            await stage.wait(wait=None)
            assert stage.clusters.asked == [], "an executor needs some seconds to start"
            await asyncio.sleep(TIMES.executor_look)
            assert stage.clusters.asked == ["app-1"] and stage.told == "", "they may have died long ago"
            stage.clusters.dead.append(self.deaths(5))
            await asyncio.sleep(TIMES.executor_look)
            assert len(stage.clusters.asked) == 2
            assert "(5 so far)" in stage.told and "no such option" in stage.told
            await asyncio.sleep(1000 * TIMES.executor_look)
            assert 60 < len(stage.clusters.asked) < 75, "in pauses that grow, up to 48 s"
            stage.kernel.report = RUNS
            await asyncio.sleep(TIMES.core_look)
            assert stage.told == ""

        play(loop, scene())

    @pytest.mark.parametrize(
        ("before", "after", "is_told"), [(3, 3, False), (3, 4, False), (0, 1, False), (900, 900, True)]
    )
    def test_which_are_too_many(self, loop: VirtualLoop, before: int, after: int, is_told: bool) -> None:
        async def scene() -> None:
            stage = Scene()
            stage.clusters.dead.append(self.deaths(before))
            await stage.wait(wait=None)
            await asyncio.sleep(TIMES.executor_look)
            stage.clusters.dead.append(self.deaths(after))
            await asyncio.sleep(10 * TIMES.executor_look)
            assert len(stage.clusters.asked) > 2 and bool(stage.told) is is_told

        play(loop, scene())

    def test_they_are_not_asked_for_while_there_are_no_cores(self, loop: VirtualLoop) -> None:
        async def scene() -> None:
            stage = Scene()
            stage.clusters.dead.append(self.deaths(3))
            await stage.wait()
            await asyncio.sleep(10)
            assert stage.clusters.asked == [] and WAIT.message in stage.told

        play(loop, scene())


class TestCoresGivenBack:
    """An idle application whose executors have ended."""

    def test_it_is_told_once(self, loop: VirtualLoop) -> None:
        async def scene() -> None:
            stage = Scene(Kernel(initial=2))
            stage.kernel.report = DriverReport(app_id="app-1", idle_since=time.time() - 900)
            await asyncio.sleep(TIMES.idle_core_look)
            assert stage.kernel.core_note == ""
            stage.clusters.back["k"] = 2
            await asyncio.sleep(TIMES.idle_core_look)
            note = "Idle for 15 min: 2 cores given back; the next job takes them again."
            assert stage.kernel.core_note == note
            stage.kernel.core_note = ""
            await asyncio.sleep(2 * TIMES.idle_core_look)
            assert stage.kernel.core_note == ""

        play(loop, scene())

    @pytest.mark.parametrize("report", [None, DriverReport(), DriverReport(idle_since=1.0), RUNS])
    def test_it_is_not_told_of_one_without_an_application_or_with_work(
        self, loop: VirtualLoop, report: DriverReport | None
    ) -> None:
        async def scene() -> None:
            stage = Scene(Kernel(initial=2))
            stage.kernel.report, stage.clusters.back["k"] = report, 2
            await asyncio.sleep(3 * TIMES.idle_core_look)
            assert stage.kernel.core_note == ""

        play(loop, scene())

    def test_it_is_told_below_the_cell_that_begins_before_the_next_look(self, loop: VirtualLoop) -> None:
        async def scene() -> None:
            stage = Scene(Kernel(initial=2))
            await asyncio.sleep(0.1)
            stage.kernel.report = DriverReport(app_id="app-1", idle_since=time.time() - 900)
            stage.clusters.back["k"] = 2
            stage.kernel.execution_state = "busy"
            assert "2 cores given back" in stage.kernel.core_note

        play(loop, scene())

    def test_it_is_not_told_of_one_without_dynamic_allocation(self, loop: VirtualLoop) -> None:
        """Its master may have forgotten it."""

        async def scene() -> None:
            stage = Scene()
            stage.kernel.report = DriverReport(app_id="app-1", idle_since=time.time() - 900)
            stage.clusters.back["k"] = 2
            await asyncio.sleep(3 * TIMES.idle_core_look)
            assert stage.kernel.core_note == ""

        play(loop, scene())


def test_closing_twice_is_no_error(loop: VirtualLoop) -> None:
    async def scene() -> None:
        stage = Scene()
        await stage.wait()
        await stage.watch.close()
        await stage.watch.close()
        assert not stage.is_running

    play(loop, scene())
