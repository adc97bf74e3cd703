"""Leases of kernels that run already."""

from __future__ import annotations

import asyncio

from kg2at_personality.admission.request import AdmissionRequest
from kg2at_personality.errors import (
    ShareUsed,
)
from tests.admission.scene import REFUSED, Scene, refusal, request, virtual
from tests.fakes.clock import ticks


@virtual
async def test_an_adopted_kernel_has_what_the_master_shows_of_it() -> None:
    scene = Scene()
    app = scene.use("runs", 2)
    scene.master.finish(scene.use("rests", 2))
    for name in ("runs", "rests", "unused"):
        scene.adopt(name, 2)
    await ticks()
    assert {name: (lease["state"], lease["granted"]) for name, lease in scene.leases.items()} == {
        "runs": ("running", 2),
        "rests": ("resting", 0),
        "unused": ("promised", 0),
    }
    assert (scene.leases["runs"]["app_id"], scene.polls) == (app.id, [0.0])


@virtual
async def test_of_an_adopted_kernel_that_was_restarted_only_what_is_active_counts() -> None:
    scene = Scene()
    for name in "ab":
        scene.master.finish(scene.use(name, 2))
        scene.adopt(name, 2, restarted=True)
    app = scene.use("a", 2)
    await ticks()
    assert [lease["state"] for lease in scene.leases.values()] == ["running", "promised"]
    scene.master.finish(app)
    await scene.admit("c", 6)
    await asyncio.sleep(10.0)
    assert [lease["state"] for lease in scene.leases.values()] == ["resting", "promised", "promised"]


@virtual
async def test_nobody_gets_the_cores_of_an_adopted_kernel_before_its_application_shows() -> None:
    scene = Scene()
    scene.gate = asyncio.Event()
    task = scene.ask("b", 4)
    await ticks()
    scene.adopt("a", 6)  # while an answer is under way
    scene.gate.set()
    await asyncio.sleep(10.0)
    assert not task.done()
    assert scene.use("a", 6).cores == 6
    await asyncio.sleep(2.0)
    assert not task.done()
    scene.queue.release("a")
    scene.master.finish(scene.master.apps[0])
    await asyncio.sleep(2.0)
    assert task.done()


@virtual
async def test_a_full_cluster_and_a_users_share_refuse_no_adoption() -> None:
    scene = Scene(max_cores_per_user=4, max_queue=0, core_check="reject")
    await scene.admit("a", 4)
    scene.use("a", 4)
    for name in ("b", "c"):
        scene.adopt(name, 8)
    await ticks()
    assert [lease["state"] for lease in scene.leases.values()] == ["running", "promised", "promised"]
    assert isinstance(await refusal(scene.ask("d", 1)), ShareUsed)


@virtual
async def test_a_master_that_does_not_answer_refuses_no_adoption() -> None:
    scene = Scene()
    scene.failure = REFUSED
    scene.use("a", 4)
    scene.adopt("a", 4)
    await asyncio.sleep(20.0)
    assert scene.leases["a"]["state"] == "promised"
    scene.failure = None
    await asyncio.sleep(6.0)
    assert scene.leases["a"]["state"] == "running"


@virtual
async def test_adopting_twice_is_once() -> None:
    scene = Scene()
    app = scene.use("a", 4)
    scene.adopt("a", 4)
    await ticks()
    scene.adopt("a", 8, restarted=True)
    assert scene.leases["a"] == {"cores": 4, "granted": 4, "given_back": 0, "state": "running", "app_id": app.id}


@virtual
async def test_whom_acquire_gives_no_lease_adopt_gives_none() -> None:
    scene, off, closed = Scene(), Scene(core_check="off"), Scene()
    scene.queue.adopt(AdmissionRequest("python", "python3", "ann", None), restarted=False)
    off.adopt("a", 4)
    await closed.queue.close()
    closed.adopt("a", 4)
    await ticks()
    assert [(each.leases, each.polls) for each in (scene, off, closed)] == [({}, [])] * 3


@virtual
async def test_min_adopts_with_one_executor() -> None:
    scene = Scene(core_requirement="min")
    scene.queue.adopt(request("a", 100, size=4), restarted=False)
    assert scene.leases["a"]["cores"] == 4
