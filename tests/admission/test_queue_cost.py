"""What the queue costs the event loop."""

from __future__ import annotations

import asyncio
import tracemalloc
import uuid

import pytest

from kg2at_personality.spark.cluster import ClusterState
from kg2at_personality.spark.master_state import cluster_state
from tests.admission.scene import GIB, Scene, play
from tests.cost import Calls
from tests.fakes.master import FakeApp, FakeMaster, FakeWorker


def test_admission_is_cheap_when_cores_are_free() -> None:
    """The queue's own part, without the request to the master."""

    async def scene() -> None:
        stage = Scene(workers=(8,) * 50)
        for number in range(100):
            with Calls() as calls:
                await stage.admit(str(number))
        assert calls.count < 10_000, "the hundredth"

    play(scene)


def big_cluster() -> ClusterState:
    master = FakeMaster()
    master.workers = [FakeWorker(f"w{n}", "h", n, 16, (32 + n % 64) * GIB) for n in range(1000)]
    master.apps = [
        FakeApp(f"Toree {uuid.UUID(int=n)}", 4, 2, GIB, None, "u", 0.0, f"a{n}", "RUNNING") for n in range(1000)
    ]
    return cluster_state(master.to_json())


@pytest.mark.parametrize(("fit", "initial"), [(True, None), (True, 2), (False, None)])
def test_a_poll_with_1000_of_each_is_cheap(fit: bool, initial: int | None) -> None:
    """1,000 workers, applications, leases and waiters: the longest turn of the event loop."""
    turns: list[int] = []
    tasks: list[asyncio.Task[None]] = []

    async def scene() -> None:
        stage = Scene(workers=(), max_queue=2000)
        answer = big_cluster()

        async def state() -> ClusterState:
            stage.polls.append(0.0)
            return answer

        stage.queue._master._state = state
        for size in (2, 4):
            names = [str(uuid.UUID(int=size * 1000 + number)) for number in range(1000)]
            cores = 4 if fit or size == 2 else 16000
            tasks.extend(stage.ask(name, cores, size=size if fit else 2, initial=initial) for name in names)
            if size == 2:
                await asyncio.sleep(0.5)
                assert len(stage.leases) == 1000
        polls = len(stage.polls)
        await asyncio.sleep(0)  # all of them come in one turn, which is none of the queue's making
        while len(stage.polls) == polls or stage.queue._poller.asking:
            with Calls() as calls:
                await asyncio.sleep(0)
            turns.append(calls.count)
        assert len(turns) > 20
        assert len(stage.leases) + len(stage.waiting) == 2000
        await stage.queue.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    play(scene)
    assert max(turns) < 75_000, "measured: 14 ms for 62,000"


def test_a_waiter_takes_less_than_10_kb() -> None:
    async def scene() -> None:
        stage = Scene(max_queue=2000)
        await stage.admit("a", 8)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        tasks = [stage.ask(str(number)) for number in range(1000)]
        await asyncio.sleep(2.0)
        taken = (tracemalloc.get_traced_memory()[0] - before) / len(tasks)
        tracemalloc.stop()
        assert len(stage.waiting) == 1000
        assert taken < 10_000
        await stage.queue.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    play(scene)
