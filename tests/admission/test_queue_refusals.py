"""Who is refused, when, and with what sentence."""

from __future__ import annotations

import asyncio

import pytest

from kg2at_personality.errors import (
    ClusterBusy,
    GatewayEnds,
    NeverFits,
    OutOfBounds,
    QueueFull,
    RequestError,
    ShareUsed,
    StillUnreachable,
)
from tests.admission.scene import GIB, REFUSED, Scene, play, refusal, virtual
from tests.fakes.clock import ticks


@virtual
async def test_busy_says_what_is_needed_and_what_is_free() -> None:
    scene = Scene()
    scene.master.submit("nightly", 7)
    scene.master.step()
    tasks = [scene.ask(name, 2, size=2) for name in "abc"]
    errors = [await refusal(task) for task in tasks]
    assert asyncio.get_running_loop().time() == pytest.approx(30.0)
    assert [type(error) for error in errors] == [ClusterBusy] * 3
    assert (errors[0].status, errors[0].retry_after) == (503, 10.0)  # type: ignore[attr-defined]
    assert str(errors[0]) == (
        "The notebook needs 2 cores in one executor of 1 GiB; 1 of 8 is free. "
        "Shut down a notebook or run sc.stop() in one."
    )
    assert scene.waiting == []


@virtual
async def test_busy_says_who_is_ahead_and_what_is_promised() -> None:
    scene = Scene()
    await scene.admit("a", 7)
    first, second = scene.ask("b", 2), scene.ask("c", 2, patience=8.0)
    third = scene.ask("d", 4, size=2, patience=8.0)
    assert str(await refusal(second)) == (
        "The notebook needs 2 cores in one or more executors of 1 GiB; 1 of 8 is free, 7 promised to notebooks that "
        "don't use them yet; 1 notebook is ahead of you. Shut down a notebook or run sc.stop() in one."
    )
    assert str(await refusal(third)).startswith("The notebook needs 4 cores in 2 executors of 2 cores and 1 GiB each;")
    await scene.queue.close()
    assert isinstance(await refusal(first), GatewayEnds)


@virtual
async def test_free_cores_that_do_not_fit_are_explained() -> None:
    scene = Scene(workers=(4, 4), core_check="reject")
    scene.master.submit("nightly", 2, 1)
    scene.master.step()
    assert "; 6 of 8 are free, but no worker has room for it" in str(await refusal(scene.ask("a", 4, size=4)))


@virtual
async def test_reject_waits_for_nothing() -> None:
    scene = Scene(core_check="reject")
    tasks = [scene.ask("a", 6), scene.ask("b", 6), scene.ask("c", 2)]
    await ticks()
    assert isinstance(await refusal(tasks[1]), ClusterBusy)
    assert list(scene.leases) == ["a", "c"]
    scene.failure = REFUSED
    assert isinstance(await refusal(scene.ask("d", 1)), StillUnreachable)
    assert asyncio.get_running_loop().time() == 0.0


@virtual
async def test_a_full_queue_refuses_in_order() -> None:
    scene = Scene(max_queue=2)
    tasks = [scene.ask(name, 4) for name in "abcdef"]
    await ticks()
    assert [task.done() for task in tasks] == [True, True, False, False, True, True]
    error = await refusal(tasks[5])
    assert (type(error), error.status, error.retry_after) == (QueueFull, 429, 10.0)  # type: ignore[attr-defined]
    assert isinstance(await refusal(scene.ask("g")), QueueFull)
    assert len(scene.polls) == 1
    await scene.queue.close()


@virtual
async def test_a_queue_of_none_lets_nobody_wait() -> None:
    scene = Scene(max_queue=0)
    await scene.admit("a", 8)
    assert isinstance(await refusal(scene.ask("b")), ClusterBusy)


@virtual
async def test_what_never_fits_is_refused_at_once() -> None:
    scene = Scene(workers=(8, 4))
    error = await refusal(scene.ask("a", 9, size=9))
    assert (type(error), error.status) == (NeverFits, 400)
    assert str(error) == (
        "The notebook needs 9 cores in one executor of 1 GiB. This cluster can never grant that: its largest worker "
        "has 8 cores and 16 GiB, its 2 workers have 12 cores together. Ask for less (spark.cores.max, "
        "spark.executor.cores, spark.executor.memory)."
    )
    assert isinstance(await refusal(scene.ask("b", 1, mib=17 * GIB)), NeverFits)
    assert asyncio.get_running_loop().time() == 0.0


@virtual
async def test_one_that_fits_no_more_makes_way() -> None:
    scene = Scene(workers=(8, 4))
    await scene.admit("a", 4, size=4)
    big, small = scene.ask("b", 8, size=8), scene.ask("c", 4, size=4)
    await ticks()
    scene.master.submit("nightly", 4, 4)
    scene.master.kill_worker(scene.master.workers[0], "DECOMMISSIONED")
    await asyncio.sleep(2.0)
    assert isinstance(await refusal(big), NeverFits)
    assert not small.done()
    await scene.queue.close()


@virtual
async def test_what_no_cluster_runs_is_refused_unasked() -> None:
    scene = Scene()
    assert isinstance(await refusal(scene.ask("a", 1, size=2)), RequestError)
    assert scene.polls == []


@virtual
async def test_a_users_share() -> None:
    scene = Scene(max_cores_per_user=4)
    error = await refusal(scene.ask("a", 5))
    assert (type(error), error.status) == (OutOfBounds, 400)
    await scene.admit("b", 3)
    error = await refusal(scene.ask("c", 2))
    assert (type(error), error.status, error.retry_after) == (ShareUsed, 429, 10.0)  # type: ignore[attr-defined]
    assert "the notebooks of ann have or wait for 3 of the 4" in str(error)
    await scene.admit("d", 4, user="bob")
    waiting = scene.ask("e", 1)
    twice = scene.ask("f", 1)
    assert isinstance(await refusal(scene.ask("h", 5, user="")), OutOfBounds)
    await scene.admit("x", 1, user="") if waiting.done() else None
    await asyncio.sleep(2.0)
    assert isinstance(await refusal(twice), ShareUsed)
    await scene.queue.close()


@virtual
async def test_a_share_is_judged_by_a_fresh_answer() -> None:
    """sc.stop() gives it back, though no poll has seen it yet."""
    scene = Scene(max_cores_per_user=4)
    await scene.admit("a", 4)
    app = scene.use("a", 4)
    await asyncio.sleep(50.0)
    scene.master.finish(app)
    await scene.admit("b", 4)


@pytest.mark.parametrize(("patience", "seconds"), [(None, 30.0), (8.0, 6.0), (20.0, 17.0), (120.0, 30.0)])
def test_the_answer_beats_the_clients_own_time_out(patience: float | None, seconds: float) -> None:
    async def scene() -> None:
        stage = Scene()
        await stage.admit("a", 8)
        await refusal(stage.ask("b", patience=patience))
        assert asyncio.get_running_loop().time() == pytest.approx(seconds)
        assert (patience or 99.0) - seconds >= min(3.0, (patience or 99.0) / 4) - 1e-9

    play(scene)
