"""The queue over HTTP, in real time."""

from __future__ import annotations

import asyncio
import uuid

from kg2at_personality.admission.policy import AdmissionPolicy
from kg2at_personality.admission.queue import AdmissionQueue
from kg2at_personality.spark.master import MasterClient
from tests.admission.scene import GIB, request
from tests.fakes.master import FakeMaster
from tests.fakes.master_server import MasterServer


def test_over_http() -> None:
    """12 at once on 4 cores: 4 are in, with one request; each release lets exactly the next in."""

    async def scene() -> None:
        master = FakeMaster()
        master.add_worker(4, 4 * GIB)
        async with MasterServer(master) as server:
            client = MasterClient([server.url], timeout=20.0)
            queue = AdmissionQueue(client.state, AdmissionPolicy(core_poll_interval=0.2))
            names = [str(uuid.uuid4()) for _ in range(12)]
            tasks = [asyncio.ensure_future(queue.acquire(request(name))) for name in names]
            await asyncio.wait(tasks[:4])
            assert [task.done() for task in tasks] == [True] * 4 + [False] * 8
            assert server.requests == 1
            for number in range(8):
                queue.release(names[number])
                await tasks[number + 4]
                assert [task.done() for task in tasks] == [True] * (number + 5) + [False] * (7 - number)
            await queue.close()
            client.close()

    asyncio.run(scene())


def test_over_http_a_master_that_is_gone_comes_back() -> None:
    async def scene() -> None:
        master = FakeMaster()
        master.add_worker(4, 4 * GIB)
        async with MasterServer(master) as server:
            server.faults.extend(["500", "html"])
            client = MasterClient([server.url], timeout=20.0)
            queue = AdmissionQueue(client.state, AdmissionPolicy(core_poll_interval=0.05))
            await queue.acquire(request("a"))
            assert server.requests == 3
            await queue.close()
            client.close()

    asyncio.run(scene())
