"""What the queue does about the work of kernels: when it has the master asked, and who is ahead of whom."""

from __future__ import annotations

import asyncio

import pytest

from kg2at_personality.spark.driver_report import DriverReport
from tests.admission.scene import Scene, refusal, virtual
from tests.fakes.clock import ticks
from tests.fakes.master import FakeApp

COMPUTES = DriverReport()
STARTING = DriverReport(is_starting=True)


def job(app: FakeApp, tasks: int = 1) -> DriverReport:
    return DriverReport(app_id=app.id, jobs=1, tasks=tasks, executors=len(app.executors))


def idle(app: FakeApp) -> DriverReport:
    return DriverReport(app_id=app.id, executors=len(app.executors), idle_since=1.0)


async def polls_in(scene: Scene, seconds: float) -> int:
    before = len(scene.polls)
    await asyncio.sleep(seconds)
    return len(scene.polls) - before


async def settled(*names: str, cores: int = 8) -> tuple[Scene, list[FakeApp]]:
    """Return a scene in which these kernels run applications of one core each, and nobody asks the master any more."""
    scene = Scene(workers=(cores,))
    for name in names:
        await scene.admit(name)
    apps = [scene.use(name) for name in names]
    await asyncio.sleep(6.0)
    assert await polls_in(scene, 60.0) == 0
    return scene, apps


@virtual
async def test_an_application_that_waits_after_sc_stop_is_seen() -> None:
    """Two cores: a third kernel has taken that of the first, which then uses Spark again."""
    scene, (first, second) = await settled("a", "b", cores=2)
    scene.master.finish(first)
    await scene.admit("c")
    third = scene.use("c")
    await asyncio.sleep(6.0)
    assert scene.leases["a"]["state"] == "resting" and await polls_in(scene, 60.0) == 0

    scene.queue.note_work("a", STARTING, True)
    again = scene.use("a")
    await asyncio.sleep(1.0)
    assert (scene.leases["a"]["state"], scene.leases["a"]["app_id"]) == ("running", again.id)
    [row] = scene.queue.status()["queue"]
    assert (row["kernel_id"], row["cores"], row["app_id"], row["position"]) == ("a", 1, again.id, 1)
    assert await polls_in(scene, 10.0) == 10
    assert 10.0 <= scene.queue.status()["queue"][0]["waited_s"] <= 11.0

    scene.master.finish(third)
    await asyncio.sleep(1.0)
    assert scene.queue.status()["queue"] == [] and scene.leases["a"]["granted"] == 1
    scene.queue.note_work("a", job(again), True)
    await asyncio.sleep(1.0)
    assert await polls_in(scene, 60.0) == 0
    assert scene.leases["b"]["app_id"] == second.id


@pytest.mark.parametrize(
    ("report", "is_busy", "polls"),
    [(None, True, 30), (STARTING, True, 30), (COMPUTES, True, 0), (None, False, 0), (STARTING, False, 0)],
)
def test_a_kernel_that_rests_has_the_master_asked_while_it_may_use_spark(
    report: DriverReport | None, is_busy: bool, polls: int
) -> None:
    @virtual
    async def scene() -> None:
        stage, (app,) = await settled("a")
        stage.master.finish(app)
        await stage.admit("b")
        stage.use("b")
        await asyncio.sleep(6.0)
        stage.queue.note_work("a", report, is_busy)
        assert await polls_in(stage, 29.9) == polls
        stage.queue.note_work("a", COMPUTES, True)
        await asyncio.sleep(1.0)
        assert await polls_in(stage, 30.0) == 0

    scene()


@virtual
async def test_a_promise_is_looked_at_seldom_while_its_kernel_computes() -> None:
    scene = Scene()
    await scene.admit("a")
    scene.queue.note_work("a", COMPUTES, True)
    await asyncio.sleep(1.0)
    assert await polls_in(scene, 50.0) == 10
    scene.queue.note_work("a", STARTING, True)
    await ticks()
    assert scene.polls[-1] == asyncio.get_running_loop().time()
    assert await polls_in(scene, 10.5) == 10


@virtual
async def test_one_that_lost_its_executors_is_seen_at_once() -> None:
    """Nobody had a reason to ask the master since it got them."""
    scene, (app,) = await settled("a")
    scene.master.add_worker(1, 512)  # too small
    scene.master.kill_worker(scene.master.workers[0])
    assert scene.leases["a"]["granted"] == 1
    scene.queue.note_work("a", job(app), True)
    await ticks()
    assert scene.leases["a"]["granted"] == 0 and [row["app_id"] for row in scene.queue.status()["queue"]] == [app.id]


@virtual
async def test_an_elastic_lease_is_looked_at_until_it_has_given_back_all() -> None:
    scene = Scene()
    await scene.admit("a", 4, size=2, initial=2)
    app = scene.use("a", 4, size=2, initial=2)
    await asyncio.sleep(6.0)
    assert await polls_in(scene, 50.0) == 10
    for kept, given_back in ((1, 2), (0, 4)):
        scene.master.kill_executors(app, kept)
        await asyncio.sleep(5.0)
        assert (scene.leases["a"]["given_back"], scene.queue.given_back("a")) == (given_back, given_back)
        assert scene.queue.status()["cluster"]["cores_promised"] == 0
    assert await polls_in(scene, 50.0) == 0
    # Its next job has its executors before anybody has told that it lacks one.
    scene.master.request_executors(app, 2)
    scene.queue.note_work("a", job(app, 4), True)
    await ticks()
    assert (scene.leases["a"]["granted"], scene.leases["a"]["given_back"]) == (4, 0)


@virtual
async def test_a_user_may_have_what_an_idle_notebook_gave_back() -> None:
    scene = Scene(max_cores_per_user=4)
    await scene.admit("a", 4, size=2, initial=2)
    app = scene.use("a", 4, size=2, initial=2)
    scene.master.kill_executors(app, 1)
    task = scene.ask("b", 2)
    assert "4 of the 4" in str(await refusal(task)), "no answer has shown it"
    await asyncio.sleep(6.0)
    scene.master.kill_executors(app, 0)
    await asyncio.sleep(6.0)
    await scene.admit("c", 4)


@virtual
async def test_whoever_waits_is_examined_at_once_when_a_job_needs_less() -> None:
    """Its job needs no more than it has, so that what it had reserved is for others."""
    scene = Scene(core_poll_interval=1000.0, core_wait_timeout=900.0)
    await scene.admit("a", 8, size=4, initial=2)
    app = scene.use("a", 8, size=4, initial=2)
    scene.queue.note_work("a", job(app, 8), True)
    task = scene.ask("b", 4)
    await ticks()
    scene.master.kill_executors(app, 1)
    await asyncio.sleep(500.0)
    task.cancel()  # whoever is behind it is examined at once
    await ticks()
    task = scene.ask("b", 4)
    await asyncio.sleep(200.0)
    assert scene.leases["a"]["granted"] == 4 and not task.done(), "its job may use the other executor"
    scene.queue.note_work("a", job(app, 4), True)
    await asyncio.sleep(150.0)  # a tenth of the interval is between two polls at least
    assert task.done() and task.exception() is None


@virtual
async def test_no_kernel_is_promised_the_core_that_an_application_waits_for() -> None:
    """It lacks an executor of 4 cores, and 3 are free."""
    scene = Scene(workers=(4,))
    await scene.admit("a", 4, size=4, initial=1)
    app = scene.use("a", 4, size=4, initial=1)
    await asyncio.sleep(6.0)
    scene.master.kill_executors(app, 0)
    await scene.admit("b")
    other = scene.use("b")
    scene.master.request_executors(app, 1)
    scene.queue.note_work("a", job(app, 1), True)
    task = scene.ask("c")
    await asyncio.sleep(5.0)
    assert scene.queue.status()["cluster"]["cores_free"] == 3 and not task.done()
    scene.master.finish(other)
    assert app.cores == 4
    await asyncio.sleep(2.0)
    assert not task.done()
    await scene.queue.close()


@virtual
async def test_one_that_lacks_two_cores_does_not_block_fifty() -> None:
    scene = Scene(workers=(1,) * 50)
    await scene.admit("a", 2, size=1)
    lacking = scene.master.submit("Apache Toree - Scala a", 2, 2)  # no worker has room for it
    scene.master.step()
    tasks = [scene.ask(str(number)) for number in range(49)]
    await asyncio.sleep(3.0)
    assert [row["app_id"] for row in scene.queue.status()["queue"]] == [lacking.id, None]
    assert [task.done() for task in tasks] == [True] * 48 + [False]
    await scene.queue.close()


@virtual
async def test_applications_that_wait_are_ahead_in_the_order_that_spark_serves() -> None:
    scene = Scene(workers=(2,), max_queue=5)
    for name in ("a", "b", "c"):
        scene.adopt(name)
    apps = [scene.master.submit(f"Apache Toree - Scala {name}", 2 if name == "a" else 1) for name in ("a", "c", "b")]
    scene.master.step()
    scene.master.apps.reverse()
    await ticks()
    tasks = [scene.ask("d", patience=20.0), scene.ask("e")]
    await asyncio.sleep(4.0)
    rows = scene.queue.status()["queue"]
    assert [(row["kernel_id"], row["app_id"], row["position"]) for row in rows] == [
        ("c", apps[1].id, 1),
        ("b", apps[2].id, 2),
        ("d", None, 3),
        ("e", None, 4),
    ]
    assert {frozenset(row) for row in rows} == {frozenset(rows[0])}, "each row has the same keys"
    assert rows[0]["name"] == "apache_toree_scala" and rows[0]["waited_s"] == 4.0
    error = str(await refusal(tasks[0]))
    assert "2 notebooks are ahead of you" in error
    waits = "is waiting for 1 core for 17 s"
    assert error.endswith(f" At the master {apps[1].id} {waits}, {apps[2].id} {waits}."), error
    await scene.queue.close()


@virtual
async def test_one_that_may_not_wait_is_told_who_is_ahead() -> None:
    scene = Scene(workers=(1,), core_check="reject")
    scene.adopt("a")
    foreign = scene.master.submit("nightly", 1)
    scene.master.step()
    scene.use("a")
    error = str(await refusal(scene.ask("b")))
    assert "1 notebook is ahead of you" in error and "is waiting for 1 core for 0 s." in error
    scene.master.finish(foreign)
    error = str(await refusal(scene.ask("c")))
    assert "ahead of you" not in error and "At the master" not in error


@virtual
async def test_of_a_long_line_the_first_are_told() -> None:
    scene = Scene(workers=(1,), core_check="reject")
    scene.master.submit("nightly", 1)
    scene.master.step()
    names = [f"k{number}" for number in range(6)]
    for name in names:
        scene.adopt(name)
    apps = [scene.use(name) for name in names]
    error = str(await refusal(scene.ask("b")))
    assert "6 notebooks are ahead of you" in error and error.endswith("and 2 others.")
    assert [app.id in error for app in apps] == [True] * 4 + [False] * 2


@virtual
async def test_a_restart_forgets_what_the_old_process_did() -> None:
    scene, (app,) = await settled("a")
    scene.master.kill_worker(scene.master.workers[0])
    scene.queue.note_work("a", job(app), True)
    await asyncio.sleep(1.0)
    scene.master.finish(app)
    scene.queue.renew("a")
    await asyncio.sleep(5.0)
    assert scene.queue.status()["queue"] == []
    assert await polls_in(scene, 50.0) == 10


@virtual
async def test_a_kernel_without_a_lease_is_nobodys_business() -> None:
    scene = Scene()
    scene.queue.note_work("nobody", STARTING, True)
    await asyncio.sleep(5.0)
    assert scene.polls == [] and scene.queue.given_back("nobody") == 0
    assert scene.queue.wait_of("nobody") is None


@virtual
async def test_nobody_is_asked_after_the_end() -> None:
    scene, (app,) = await settled("a")
    scene.master.finish(app)
    await scene.queue.close()
    scene.queue.note_work("a", None, True)
    assert await polls_in(scene, 30.0) == 0
