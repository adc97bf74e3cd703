"""A kernel whose id an earlier kernel had: applications of that one neither use nor end the new lease."""

from __future__ import annotations

import asyncio

from tests.admission.scene import REFUSED, Scene, virtual
from tests.fakes.clock import ticks


@virtual
async def test_what_an_earlier_kernel_of_the_same_id_completed_ends_no_promise() -> None:
    scene = Scene()
    scene.master.finish(scene.use("a", 8))
    await scene.admit("a", 8)
    task = scene.ask("b", 8)
    await asyncio.sleep(10.0)
    assert (scene.leases["a"]["state"], task.done()) == ("promised", False)
    scene.master.finish(scene.use("a", 8))
    await asyncio.sleep(2.0)
    assert (scene.leases["a"]["state"], task.done()) == ("resting", True)


@virtual
async def test_nor_does_what_it_still_has_at_the_admission_and_completes_afterwards() -> None:
    scene = Scene()
    earlier = scene.use("a", 4)
    await scene.admit("a", 4)
    await asyncio.sleep(6.0)
    assert scene.leases["a"] == {"cores": 4, "granted": 0, "given_back": 0, "state": "promised", "app_id": None}
    scene.master.finish(earlier)
    task = scene.ask("b", 8)
    await asyncio.sleep(10.0)
    assert (scene.leases["a"]["state"], task.done()) == ("promised", False)
    await scene.queue.close()


@virtual
async def test_nor_does_what_an_answer_cannot_show_that_is_older_than_its_end() -> None:
    """It ends, and its id is used again, while the answer is under way by which the next one is admitted."""
    scene = Scene()
    await scene.admit("a", 4)
    scene.gate = asyncio.Event()
    unlucky = scene.ask("b", 8)
    await ticks()
    scene.master.finish(scene.use("a", 4))
    scene.queue.release("a")
    unlucky.cancel()
    again = scene.ask("a", 4)
    await ticks()
    scene.gate.set()
    await again
    task = scene.ask("c", 8)
    await asyncio.sleep(10.0)
    assert (scene.leases["a"]["state"], task.done()) == ("promised", False)
    await scene.queue.close()


@virtual
async def test_nor_does_what_was_not_known_when_it_was_admitted_unchecked() -> None:
    scene = Scene(master_unreachable="admit")
    scene.master.finish(scene.use("a", 8))
    scene.failure = REFUSED
    await scene.admit("a", 8)
    scene.failure = None
    task = scene.ask("b", 8)
    await asyncio.sleep(10.0)
    assert (scene.leases["a"]["state"], task.done()) == ("promised", False)
    await scene.queue.close()
