"""Clients that hang up, and a gateway that closes."""

from __future__ import annotations

import asyncio

import pytest

from kg2at_personality.errors import (
    GatewayEnds,
)
from tests.admission.scene import Scene, play, refusal, virtual
from tests.fakes.clock import ticks


@pytest.mark.parametrize("steps", range(8))
def test_whoever_hangs_up_leaves_nothing(steps: int) -> None:
    """After any number of turns of the event loop: queued, asked for, or admitted but not told yet."""

    async def scene() -> None:
        stage = Scene()
        first, second = stage.ask("a", 8), stage.ask("b", 8)
        await ticks(steps)
        if first.done():
            stage.queue.release("a")
        else:
            first.cancel()
        await asyncio.sleep(0.2)
        assert second.done()
        assert list(stage.leases) == ["b"]

    play(scene)


@virtual
async def test_hanging_up_right_after_admission_gives_the_lease_back() -> None:
    scene = Scene()
    scene.gate = asyncio.Event()
    first, second = scene.ask("a", 8), scene.ask("b", 8)
    await ticks()
    entry = scene.queue._waiting["a"]
    scene.gate.set()
    while not entry.admitted.done():  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert list(scene.leases) == ["a"]
    assert not first.done()
    first.cancel()  # the lost wake-up: it is admitted, and never hears of it
    await asyncio.sleep(0.2)
    assert first.cancelled()
    assert second.done()
    assert list(scene.leases) == ["b"]


@virtual
async def test_the_first_hangs_up_and_the_next_is_looked_at_at_once() -> None:
    scene = Scene(core_poll_interval=10.0)
    await scene.admit("a", 6)
    big, small = scene.ask("b", 4), scene.ask("c", 2)
    await asyncio.sleep(3.0)
    big.cancel()
    await ticks()
    assert small.done()


@virtual
async def test_many_who_hang_up_cost_few_polls() -> None:
    scene = Scene(core_poll_interval=1.0)
    await scene.admit("a", 8)
    tasks = [scene.ask(str(number), 8) for number in range(100)]
    await asyncio.sleep(1.0)
    before = len(scene.polls)
    for task in tasks:
        task.cancel()
        await asyncio.sleep(0.01)
    assert len(scene.polls) - before <= 12


@virtual
async def test_close_refuses_with_a_sentence() -> None:
    scene = Scene()
    await scene.admit("a", 8)
    task = scene.ask("b")
    await ticks()
    await scene.queue.close()
    await scene.queue.close()
    error = await refusal(task)
    assert (type(error), error.status) == (GatewayEnds, 503)
    assert str(error) == "The gateway is shutting down and starts no kernels any more."
    assert isinstance(await refusal(scene.ask("c")), GatewayEnds)
    scene.queue.release("a")
    assert len(asyncio.all_tasks()) == 1
