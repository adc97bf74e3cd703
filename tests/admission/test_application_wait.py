"""What a kernel's application waits for, in words: by the master's answer, the leases, and what the kernel does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kg2at_personality.admission.application_wait import SETTLING, application_wait
from kg2at_personality.admission.kernel_work import KernelWork
from kg2at_personality.admission.lease import Claim, Lease, Sighting
from kg2at_personality.admission.messages import MESSAGE_LENGTH
from kg2at_personality.admission.occupancy import Occupancy
from kg2at_personality.errors import MasterUnreachable
from kg2at_personality.spark.cluster import App, ClusterState, ExecutorRequest, Worker, needed
from kg2at_personality.spark.driver_report import DriverReport
from tests.admission.scene import GIB, REFUSED, Scene, virtual
from tests.cost import Calls

NOW = 100.0
STARTING, JOB = DriverReport(is_starting=True), DriverReport(app_id="app-a", jobs=1, tasks=1)
RUNS, COMPUTES = DriverReport(app_id="app-a", jobs=1, tasks=1, executors=1), DriverReport(app_id="app-a")


def app(name: str, cores: int = 0, age: float | None = None) -> App:
    return App(f"app-{name}", name, "someone", cores, age)


def lease(
    name: str,
    shown: App | None,
    user: str = "",
    work: KernelWork = KernelWork(),  # noqa: B008 - it is frozen
    *,
    wanted: ExecutorRequest = ExecutorRequest(1, None, GIB),  # noqa: B008
    since: float = 0.0,
) -> Lease:
    """The lease of a kernel with this application, None: none yet. It waits, and lacks an executor, `since` then."""
    made = Lease(Claim(name), user, wanted, needed(wanted))
    made.update(Sighting([shown] if shown else []), since)
    made.note(work, since)
    return made


def worker(cores: int, used: int, mib: int = 8 * GIB, used_mib: int = 0, state: str = "ALIVE") -> Worker:
    return Worker("h", state, cores, used, mib, used_mib)


def told(one: Lease, others: list[Lease], apps: list[App], *workers: Worker, status: str = "ALIVE") -> str | None:
    """Return what the kernel is told, None: nothing."""
    state = ClusterState("spark://m:7077", status, workers, tuple(apps))
    wait = application_wait(one, Occupancy(state, [one, *others]), NOW)
    return wait.message if wait else None


BUSY, WAITS = KernelWork(True), KernelWork(True, JOB)
A = app("a")
FULL = worker(2, 2)
START = "Waiting for 1 core in one executor of 1 GiB: "


@pytest.mark.parametrize(
    ("shown", "work", "is_told"),
    [
        # Its master has forgotten it.
        (None, WAITS, True),
        (None, KernelWork(True, DriverReport(jobs=1)), False),
        (None, KernelWork(False, JOB), False),
        (A, WAITS, True),
        (A, BUSY, True),
        (A, KernelWork(True, STARTING), True),
        # It is only about to register, or nobody knows whether its cell uses Spark.
        (None, KernelWork(True, STARTING), False),
        (None, BUSY, False),
        # Its executor is starting, as the master has granted the cores.
        (app("a", 1), WAITS, False),
    ],
)
def test_who_is_told(shown: App | None, work: KernelWork, is_told: bool) -> None:
    message = told(lease("a", shown, "ann", work), [], [shown] if shown else [], FULL)
    assert (message is not None) is is_told


def test_an_application_that_its_master_has_forgotten() -> None:
    one = lease("a", None, "ann", WAITS, since=NOW - SETTLING)
    expected = "the Spark master spark://m:7077 does not know app-a any more. Interrupt the cell and run sc.stop()."
    assert told(one, [], [], FULL) == START + expected
    assert told(lease("a", None, "ann", WAITS, since=NOW - SETTLING + 0.1), [], [], FULL) is None, "it may register yet"


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (REFUSED, "Spark master http://master:8080: connection refused"),
        (MasterUnreachable("http://m", "two\nlines\x1b[2J"), "Spark master http://m: two lines [2J"),
    ],
)
@pytest.mark.parametrize("shown", [A, None])
def test_no_answer(shown: App | None, known: MasterUnreachable, expected: str) -> None:
    wait = application_wait(lease("a", shown, "ann", WAITS), known, NOW)
    assert wait is not None and wait.message == START + expected
    assert (wait.kernel_id, wait.app_id, wait.cores, wait.place) == ("a", "app-a" if shown else None, 1, None)


def test_no_answer_and_nobody_knows_whether_it_uses_spark() -> None:
    assert application_wait(lease("a", None, "ann", BUSY), REFUSED, NOW) is None


@pytest.mark.parametrize("shown", [A, None])
def test_a_master_that_grants_nothing(shown: App | None) -> None:
    message = told(lease("a", shown, "ann", KernelWork(True, STARTING)), [], [], FULL, status="RECOVERING")
    assert message == START + "the Spark master spark://m:7077 is RECOVERING and grants nothing yet."


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        ([], "the Spark master spark://m:7077 has no worker that is alive."),
        ([worker(8, 0, state="DEAD")], "the Spark master spark://m:7077 has no worker that is alive."),
        ([worker(1, 0), worker(8, 0, mib=512)], "no worker that is alive is large enough, the largest has 8 cores and"),
        ([worker(4, 3), worker(4, 3)], "2 of 8 are free, but no worker has room for an executor; other applications"),
        ([worker(2, 0, used_mib=8 * GIB)], "2 of 2 are free, but no worker has room for an executor. It is first"),
        ([worker(2, 1)], "1 of 2 is free; other applications have 1. It is first in line."),
        ([worker(2, 2)], "0 of 2 are free; other applications have 2. It is first in line."),
        ([worker(2, 0)], "2 of 2 are free, but the master has not granted them yet. It is first in line."),
    ],
)
def test_what_there_is(workers: list[Worker], expected: str) -> None:
    one = lease("a", A, "ann", WAITS, wanted=ExecutorRequest(2, 2, GIB))
    message = told(one, [], [A], *workers)
    assert message is not None
    assert message.startswith("Waiting for 2 cores in one executor of 1 GiB: " + expected)


@pytest.mark.parametrize(("waited", "is_told"), [(0.0, False), (SETTLING - 0.1, False), (SETTLING, True)])
def test_one_that_has_room_takes_it_in_a_moment(waited: float, is_told: bool) -> None:
    one = lease("a", A, "ann", WAITS, since=NOW - waited)
    assert (told(one, [], [A], worker(2, 0)) is not None) is is_told
    assert told(one, [], [A], FULL) is not None, "where it has none it is told at once"


OTHERS = {
    "ann": lease("x", app("x", 1), "ann"),
    "bob": lease("y", app("y", 2), "bob"),
    "nameless": lease("z", app("z", 3), ""),
    "idle": lease("i", app("i", 0), "eve", KernelWork(False, COMPUTES), wanted=ExecutorRequest(1, 1, GIB, 0)),
}


@pytest.mark.parametrize(
    ("user", "others", "used", "expected"),
    [
        ("ann", [], 0, ""),
        ("ann", [], 4, "; other applications have 4"),
        ("ann", ["bob"], 2, "; bob has 2"),
        ("ann", ["bob"], 6, "; other applications have 4, bob has 2"),
        ("ann", ["ann", "bob"], 3, "; your other notebooks have 1, bob has 2"),
        ("ann", ["ann", "nameless"], 4, "; your other notebooks have 1, notebooks without a user name have 3"),
        ("", ["ann", "nameless"], 4, "; notebooks without a user name have 3, ann has 1"),
        ("ann", ["idle"], 0, ""),
    ],
)
def test_who_has_the_cores(user: str, others: list[str], used: int, expected: str) -> None:
    one, leases = lease("a", A, user, WAITS), [OTHERS[name] for name in others]
    apps = [A, *(each.app for each in leases if each.app)]
    total = worker(8, used, mib=GIB, used_mib=GIB)
    message = told(one, leases, apps, total)
    free = 8 - used
    assert message == (
        f"{START}{free} of 8 are free, but no worker has room for an executor{expected}. It is first in line."
    )


def test_its_own_cores_are_not_another_notebooks() -> None:
    """It has one core, on a worker where another is free, and wants executors of two."""
    wanted = ExecutorRequest(4, 2, GIB)
    one = lease("a", app("a", 1), "ann", WAITS, wanted=wanted)
    message = told(one, [lease("x", app("x", 2), "ann")], [app("a", 1), app("x", 2)], worker(4, 3))
    assert message is not None and "; your other notebooks have 2." in message


def test_many_holders_are_named_in_part() -> None:
    others = [lease(f"k{n}", app(f"k{n}", n), f"user{n}") for n in range(1, 10)]
    own = lease("own", app("own", 6), "ann")
    one = lease("a", A, "ann", WAITS)
    message = told(one, [*others, own], [A], worker(51, 51))
    assert message == (
        START + "0 of 51 are free; your other notebooks have 6, user9 has 9, user8 has 8, user7 has 7, user6 has 6, "
        "and 5 others. It is first in line."
    )


def test_a_message_is_one_line_of_bounded_length() -> None:
    others = [lease(f"k{n}", app(f"k{n}", 5), f"{n}\n\x1b]0;" + "x" * 5000) for n in range(9)]
    message = told(lease("a", A, "ann", WAITS), others, [A], worker(45, 45))
    assert message is not None and message.isprintable() and "  " not in message and "x" * 41 not in message
    wait = application_wait(lease("a", A, "ann", WAITS), MasterUnreachable("http://m", "x" * 9999), NOW)
    assert wait is not None and len(wait.message) == MESSAGE_LENGTH + 3 and wait.message.endswith("xxx...")


@pytest.mark.parametrize(
    ("apps", "place", "expected"),
    [
        ([app("a", age=5.0)], 1, "It is first in line."),
        ([app("a", age=5.0), app("f", age=9.0)], 2, "1 application is ahead of it."),
        ([app("a", age=5.0), app("f", age=9.0), app("g", age=8.0)], 3, "2 applications are ahead of it."),
        ([app("a", age=5.0), app("f", age=1.0)], 1, "It is first in line."),
        ([app("a", age=5.0), app("f", 1, age=9.0)], 1, "It is first in line."),  # that one runs
        ([app("a", age=5.0), app("i", age=9.0)], 1, "It is first in line."),  # ours, and it wants no executor
        ([app("a", age=5.0), app("w", age=9.0)], 2, "1 application is ahead of it."),  # ours, and waits
    ],
)
def test_its_place_among_all_that_wait(apps: list[App], place: int, expected: str) -> None:
    one, waits = lease("a", A, "ann", WAITS), lease("w", app("w"), "bob")
    state = ClusterState("spark://m:7077", "ALIVE", (FULL,), tuple(apps))
    wait = application_wait(one, Occupancy(state, [one, OTHERS["idle"], waits]), NOW)
    assert wait is not None
    assert (wait.place, wait.app_id, wait.cores) == (place, "app-a", 1)
    assert wait.message.endswith(f"; other applications have 2. {expected}")


# As the queue tells it.


@virtual
async def test_the_case_that_nobody_explained() -> None:
    """Two cores, two notebooks; one says sc.stop(), a third takes its core, and the first uses Spark again."""
    scene = Scene(workers=(2,))
    await scene.admit("a", user="ann")
    first = scene.use("a")
    await scene.admit("b", user="bob")
    second = scene.use("b")
    scene.master.finish(first)
    await scene.admit("c", user="eve")
    scene.use("c")
    await asyncio.sleep(6.0)
    again = scene.use("a")
    scene.queue.note_work("a", None, True)
    assert scene.queue.wait_of("a") is None, "nobody has asked the master yet"
    await asyncio.sleep(1.0)
    wait = scene.queue.wait_of("a")
    assert wait is not None and (wait.app_id, wait.place) == (again.id, 1)
    assert wait.message == START + "0 of 2 are free; bob has 1, eve has 1. It is first in line."
    scene.failure = REFUSED
    await asyncio.sleep(1.0)
    wait = scene.queue.wait_of("a")
    assert wait is not None and wait.message == START + str(REFUSED)
    scene.failure = None
    scene.queue.release("b")
    scene.master.finish(second)
    await asyncio.sleep(1.0)
    assert scene.queue.wait_of("a") is None
    scene.queue.note_work("a", None, False)
    await scene.queue.close()


@virtual
async def test_an_old_failure_is_no_news() -> None:
    scene = Scene(workers=(1,))
    scene.failure = REFUSED
    task = scene.ask("b", patience=4.0)
    await asyncio.sleep(10.0)
    assert task.exception() is not None
    scene.adopt("a")
    scene.gate = asyncio.Event()
    scene.queue.note_work("a", STARTING, True)
    await asyncio.sleep(1.0)
    assert scene.queue.wait_of("a") is None
    scene.gate.set()
    await asyncio.sleep(1.0)
    wait = scene.queue.wait_of("a")
    assert wait is not None and wait.app_id is None
    await scene.queue.close()


def test_a_thousand_that_wait_are_told_cheaply() -> None:
    """Each has them told twice a second."""

    @virtual
    async def scene() -> None:
        stage = Scene(workers=(1,))
        stage.master.submit("nightly", 1)
        stage.master.step()
        for number in range(1000):
            stage.adopt(str(number))
            stage.master.submit(f"Apache Toree - Scala {number}", 1)
        stage.master.step()
        await asyncio.sleep(2.0)
        with Calls() as calls:
            for number in range(1000):
                stage.queue.note_work(str(number), STARTING, True)
        assert calls.count < 80_000
        with Calls() as calls:
            for number in range(1000):
                stage.queue.note_work(str(number), STARTING, True)
        assert calls.count < 15_000, "nothing is new"
        await asyncio.sleep(2.0)
        stage.queue.wait_of("0")
        with Calls() as calls:
            waits: list[Any] = [stage.queue.wait_of(str(number)) for number in range(1000)]
        assert [wait.place for wait in waits] == list(range(1, 1001))
        assert calls.count < 100_000
        await stage.queue.close()

    scene()
