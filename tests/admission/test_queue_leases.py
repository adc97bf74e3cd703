"""What becomes of leases, by each answer of the master."""

from __future__ import annotations

import asyncio

from tests.admission.scene import Scene, virtual
from tests.fakes.clock import ticks

# Leases.


@virtual
async def test_a_lease_settles_rests_and_wakes() -> None:
    scene = Scene()
    await scene.admit("a", 4)
    app = scene.use("a", 4)
    await asyncio.sleep(6.0)
    assert scene.leases["a"] == {"cores": 4, "granted": 4, "given_back": 0, "state": "running", "app_id": app.id}
    assert scene.queue.status()["cluster"]["cores_promised"] == 0
    scene.master.finish(app)
    await scene.admit("b", 8)  # the cores are everybody's
    assert scene.leases["a"]["state"] == "resting"
    scene.queue.release("b")
    again = scene.use("a", 4)
    await scene.admit("c", 4)
    assert scene.leases["a"] == {"cores": 4, "granted": 4, "given_back": 0, "state": "running", "app_id": again.id}


@virtual
async def test_what_an_application_lacks_is_still_promised() -> None:
    """Its first cores are granted, then another application was faster."""
    scene = Scene()
    await scene.admit("a", 6)
    foreign = scene.master.submit("nightly", 5)
    scene.master.step()
    app = scene.use("a", 6)
    assert app.cores == 3
    task = scene.ask("b", 4)
    await asyncio.sleep(2.0)
    assert scene.leases["a"]["granted"] == 3
    assert scene.queue.status()["cluster"]["cores_promised"] == 3
    scene.master.finish(foreign)
    await asyncio.sleep(2.0)
    assert (app.cores, task.done()) == (6, False)
    await scene.queue.close()


@virtual
async def test_an_application_that_came_and_went_between_two_polls_was_there() -> None:
    scene = Scene()
    await scene.admit("a", 8)
    scene.master.finish(scene.use("a", 8))
    await scene.admit("b", 8)
    assert scene.leases["a"]["state"] == "resting"


@virtual
async def test_foreign_cores_are_the_masters_own_figures() -> None:
    scene = Scene()
    foreign = scene.master.submit("nightly", 7)
    scene.master.step()
    await scene.admit("a", 1)
    task = scene.ask("b", 2)
    await asyncio.sleep(2.0)
    assert not task.done()
    scene.master.finish(foreign)
    await asyncio.sleep(2.0)
    assert task.done()


@virtual
async def test_polls_end_when_all_is_settled() -> None:
    scene = Scene()
    await scene.admit("a", 4)
    await asyncio.sleep(11.0)
    assert scene.polls == [0.0, 5.0, 10.0]  # an unused promise is looked at lazily
    scene.use("a", 4)
    await asyncio.sleep(100.0)
    assert scene.polls == [0.0, 5.0, 10.0, 15.0]


@virtual
async def test_promises_are_safe_in_any_order() -> None:
    scene = Scene(workers=(4, 4))
    await scene.admit("big", 4, size=4)
    task = scene.ask("small", 4, size=1)
    await asyncio.sleep(2.0)
    assert not task.done()  # it would spread 2 + 2, and the big one would hang
    scene.master.submit("Apache Toree - Scala big", 4, 4)
    scene.master.step()
    await asyncio.sleep(2.0)
    assert task.done()


@virtual
async def test_min_promises_one_executor() -> None:
    scene = Scene(core_requirement="min")
    await scene.admit("a", 100, size=4)
    await scene.admit("b", 100, size=4)
    assert [lease["cores"] for lease in scene.leases.values()] == [4, 4]
    task = scene.ask("c", 1)
    await ticks()
    assert not task.done()
    await scene.queue.close()


# Answers that are older than what they are held against.


@virtual
async def test_what_is_given_back_during_a_poll_still_counts_in_it() -> None:
    """The answer may not show its application yet, and the master still have its cores when the next one starts."""
    scene = Scene()
    await scene.admit("a", 8)
    scene.gate = asyncio.Event()
    task = scene.ask("b", 8)
    await ticks()
    app = scene.use("a", 8)  # unseen by the answer under way
    scene.queue.release("a")
    scene.gate.set()
    await ticks()
    assert not task.done()
    scene.master.finish(app)
    await asyncio.sleep(2.0)
    assert task.done()


@virtual
async def test_a_restart_is_promised_anew() -> None:
    scene = Scene()
    await scene.admit("a", 8)
    old = scene.use("a", 8)
    await asyncio.sleep(6.0)
    scene.master.finish(old)
    scene.queue.renew("a")
    task = scene.ask("b", 1)
    await asyncio.sleep(6.0)
    assert (scene.leases["a"]["state"], task.done()) == ("promised", False)
    scene.use("a", 8)
    await asyncio.sleep(2.0)
    assert scene.leases["a"]["state"] == "running"
    await scene.queue.close()


@virtual
async def test_an_old_application_seen_only_after_the_restart_ends_no_new_life() -> None:
    scene = Scene()
    await scene.admit("a", 8)
    await asyncio.sleep(6.0)
    old = scene.use("a", 8)  # no poll sees it before the restart
    scene.queue.renew("a")
    await asyncio.sleep(1.0)
    assert scene.leases["a"] == {"cores": 8, "granted": 8, "given_back": 0, "state": "running", "app_id": old.id}
    scene.master.finish(old)
    scene.queue.renew("nobody")
    task = scene.ask("b", 8)
    await asyncio.sleep(10.0)
    assert (scene.leases["a"]["state"], task.done()) == ("promised", False)
    await scene.queue.close()


@virtual
async def test_a_restart_during_a_poll_is_not_settled_by_it() -> None:
    scene = Scene()
    await scene.admit("a", 8)
    old = scene.use("a", 8)
    scene.gate = asyncio.Event()
    task = scene.ask("b", 8)
    await ticks()
    scene.master.finish(old)
    scene.queue.renew("a")
    scene.gate.set()
    await asyncio.sleep(5.0)
    assert (scene.leases["a"]["state"], task.done()) == ("promised", False)
    await scene.queue.close()
