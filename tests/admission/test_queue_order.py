"""Who is admitted, and in which order."""

from __future__ import annotations

import asyncio

from kg2at_personality.admission.request import AdmissionRequest
from kg2at_personality.errors import (
    KernelIdTaken,
)
from tests.admission.scene import Scene, refusal, virtual
from tests.fakes.clock import ticks


@virtual
async def test_free_cores_admit_at_once_with_one_poll() -> None:
    scene = Scene()
    await scene.admit("a", 2)
    assert (scene.polls, scene.leases) == (
        [0.0],
        {"a": {"cores": 2, "granted": 0, "given_back": 0, "state": "promised", "app_id": None}},
    )


@virtual
async def test_those_who_come_together_share_a_poll() -> None:
    scene = Scene()
    tasks = [scene.ask(str(number)) for number in range(12)]
    await ticks()
    assert [task.done() for task in tasks] == [True] * 8 + [False] * 4
    assert len(scene.polls) == 1
    await scene.queue.close()


@virtual
async def test_one_poll_an_interval_however_many_wait() -> None:
    scene = Scene(core_poll_interval=2.0)
    await scene.admit("a", 8)
    tasks = [scene.ask(str(number)) for number in range(50)]
    await asyncio.sleep(21.0)
    assert len(tasks) == 50
    assert 10 <= len(scene.polls) <= 13
    await scene.queue.close()


@virtual
async def test_nobody_is_passed() -> None:
    scene = Scene()
    await scene.admit("a", 6)
    big, small = scene.ask("big", 4), scene.ask("small", 1)
    await asyncio.sleep(5.0)
    assert scene.waiting == ["big", "small"]
    late = scene.ask("late", 1)
    scene.queue.release("a")
    await asyncio.sleep(1.0)
    assert all(task.done() and not task.exception() for task in (big, small, late))
    assert list(scene.leases) == ["big", "small", "late"]


@virtual
async def test_a_release_lets_the_next_in_at_once() -> None:
    scene = Scene(core_poll_interval=20.0)
    await scene.admit("a", 8)
    task = scene.ask("b", 8)
    await asyncio.sleep(3.0)
    scene.queue.release("a")
    scene.queue.release("a")
    await ticks()
    assert task.done()
    assert list(scene.leases) == ["b"]


@virtual
async def test_no_executors_no_lease_no_poll() -> None:
    scene = Scene()
    await scene.queue.acquire(AdmissionRequest("python", "python3", "ann", None))
    scene.queue.release("python")
    assert (scene.leases, scene.polls) == ({}, [])


@virtual
async def test_off_lets_everybody_pass() -> None:
    scene = Scene(core_check="off")
    await scene.admit("a", 99)
    assert (scene.leases, scene.polls) == ({}, [])


@virtual
async def test_a_kernel_id_never_has_two_leases() -> None:
    scene = Scene()
    await scene.admit("a", 8)
    assert isinstance(await refusal(scene.ask("a")), KernelIdTaken)
    first, second = scene.ask("b"), scene.ask("b")
    assert isinstance(await refusal(second), KernelIdTaken)
    assert not first.done()
    assert scene.waiting == ["b"]
    await scene.queue.close()
