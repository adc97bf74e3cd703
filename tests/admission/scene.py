"""A queue over the fake master, in virtual time: what the tests of the queue play on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kg2at_personality.admission.policy import AdmissionPolicy
from kg2at_personality.admission.queue import AdmissionQueue
from kg2at_personality.admission.request import AdmissionRequest
from kg2at_personality.errors import (
    KG2ATError,
    MasterUnreachable,
)
from kg2at_personality.spark.cluster import AppIdentity, ClusterState, ExecutorRequest
from kg2at_personality.spark.master_state import cluster_state
from tests.fakes.clock import VirtualLoop, ticks
from tests.fakes.master import FakeApp, FakeMaster

GIB = 1024
REFUSED = MasterUnreachable("http://master:8080", "connection refused")


class Scene:
    """A queue over a fake master with one worker of 8 cores. `polls` counts, `failure` is raised, `gate` delays."""

    def __init__(self, *, workers: tuple[int, ...] = (8,), **policy: Any) -> None:
        loop = asyncio.get_running_loop()
        self.master = FakeMaster(loop.time)
        for cores in workers:
            self.master.add_worker(cores, 16 * GIB)
        self.polls: list[float] = []
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.queue = AdmissionQueue(
            self.state, AdmissionPolicy(**{"core_wait_timeout": 30.0} | policy), clock=loop.time
        )

    async def state(self) -> ClusterState:
        self.polls.append(asyncio.get_running_loop().time())
        answer = cluster_state(self.master.to_json())
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return answer

    def ask(self, name: str, cores: int = 1, **more: Any) -> asyncio.Task[None]:
        return asyncio.ensure_future(self.queue.acquire(request(name, cores, **more)))

    def adopt(self, name: str, cores: int = 1, *, restarted: bool = False) -> None:
        self.queue.adopt(request(name, cores), restarted=restarted)

    async def admit(self, name: str, cores: int = 1, **more: Any) -> None:
        await self.queue.acquire(request(name, cores, **more))

    def use(self, name: str, cores: int = 1, *, size: int | None = None, initial: int | None = None) -> FakeApp:
        """The kernel touches Spark; `initial` as for `request`."""
        app = self.master.submit(f"Apache Toree - Scala {name}", cores, size, executor_limit=initial)
        self.master.step()
        return app

    @property
    def waiting(self) -> list[str]:
        return [row["kernel_id"] for row in self.queue.status()["queue"] if row["app_id"] is None]

    @property
    def leases(self) -> dict[str, Any]:
        leases: dict[str, Any] = self.queue.status()["leases"]
        return leases


def request(
    name: str,
    cores: int = 1,
    *,
    size: int | None = None,
    mib: int = GIB,
    user: str = "ann",
    patience: float | None = None,
    initial: int | None = None,
    max_cores: int | None = None,
) -> AdmissionRequest:
    """`size` and `mib` are of an executor, `initial` is dynamic allocation's first target."""
    shown = AppIdentity(f"Apache Toree - Scala {name}", "someone")
    return AdmissionRequest(
        name, "apache_toree_scala", user, ExecutorRequest(cores, size, mib, initial), patience, shown, max_cores
    )


def play(scene: Callable[[], Awaitable[None]]) -> None:
    """Run it in virtual time; nothing may be left over."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(scene())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(ticks())
    finally:
        loop.close()


def virtual(test: Callable[..., Awaitable[None]]) -> Callable[[], None]:
    """The test is a coroutine, run in virtual time."""

    def run() -> None:
        play(test)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


async def refusal(task: asyncio.Task[None]) -> KG2ATError:
    with pytest.raises(KG2ATError) as raised:
        await task
    return raised.value
