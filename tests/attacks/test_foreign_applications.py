"""An application that only looks like a kernel's takes neither its lease nor its end, and delays nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from kg2at_personality.admission.clusters import Clusters
from kg2at_personality.admission.lease import TOLERANCE, Claim, sightings
from kg2at_personality.admission.policy import AdmissionPolicy
from kg2at_personality.admission.request import AdmissionRequest
from kg2at_personality.spark.cluster import AppIdentity, ExecutorRequest
from kg2at_personality.spark.master_options import MasterOptions
from kg2at_personality.spark.master_state import cluster_state
from tests.fakes.master import FakeApp, FakeMaster
from tests.fakes.master_server import MasterServer

KERNEL = "0a1b2c3d-0000-4000-8000-000000000001"
NAME = f"Apache Toree - Scala {KERNEL}"
REQUEST = AdmissionRequest(
    KERNEL, "apache_toree_scala", "ann", ExecutorRequest(2, None, 1024), application=AppIdentity(NAME, "gateway")
)
#: Names and users of applications that are not the kernel's.
FOREIGN = [
    (NAME, "mallory"),
    (f"x {NAME}", "gateway"),
    (f"{NAME} ", "gateway"),
    (f"{NAME} {KERNEL}", "gateway"),
    (KERNEL, "gateway"),
    (f"mine {KERNEL}", "gateway"),
    (NAME.lower(), "gateway"),
]


def play(scene: Callable[[Clusters, MasterServer], Awaitable[None]]) -> None:
    """Run `scene` with a master of 8 cores."""

    async def on_stage() -> None:
        master = FakeMaster()
        master.add_worker(8, 16 * 1024)
        clusters = Clusters(AdmissionPolicy(), MasterOptions(timeout=20.0), logging.getLogger("tests.clusters"))
        async with MasterServer(master) as server:
            await scene(clusters, server)
            await clusters.close()

    asyncio.run(on_stage())


def conf(server: MasterServer) -> Any:
    properties = {"spark.master.ui.port": server.url.rpartition(":")[2]}
    return SimpleNamespace(master="spark://127.0.0.1:7077", environ={}, get=properties.get)


def register(server: MasterServer, name: str, user: str, ago: float = 0.0) -> FakeApp:
    """Submit an application that the master has known for `ago` seconds."""
    app = server.master.submit(name, 2, user=user)
    server.master.step()
    app.began -= ago
    return app


async def lease_when(clusters: Clusters, server: MasterServer, kernel_id: str = KERNEL) -> dict[str, Any]:
    """Return the lease when another answer has been read."""
    server.asked.clear()
    clusters.renew("nobody")
    [queue] = [queue for queue, _ in clusters._queues.values()]
    await queue._poll()
    return dict(queue.status()["leases"][kernel_id])


@pytest.mark.parametrize(("name", "user"), FOREIGN)
def test_it_gets_neither_lease_nor_end_and_nobody_waits_for_it(name: str, user: str) -> None:
    async def scene(clusters: Clusters, server: MasterServer) -> None:
        await clusters.acquire(REQUEST, clusters.urls(conf(server)))
        foreign = register(server, name, user)
        assert await lease_when(clusters, server) == {
            "cores": 2,
            "granted": 0,
            "given_back": 0,
            "state": "promised",
            "app_id": None,
        }
        own = register(server, NAME, "gateway")
        assert (await lease_when(clusters, server))["app_id"] == own.id
        assert await clusters.end_applications(KERNEL)
        assert server.killed == [own.id] and server.master.apps == [foreign]
        requests = server.requests
        await clusters.gave_back(KERNEL)
        assert server.requests == requests + 1, "its end was waited for"

    play(scene)


def test_what_began_before_the_launch_is_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(clusters: Clusters, server: MasterServer) -> None:
        await clusters.acquire(REQUEST, clusters.urls(conf(server)))
        register(server, NAME, "gateway", ago=TOLERANCE + 60)
        assert (await lease_when(clusters, server))["state"] == "promised"
        # The tolerance covers clocks that are set, and answers that are late.
        own = register(server, NAME, "gateway", ago=TOLERANCE - 60)
        assert (await lease_when(clusters, server))["app_id"] == own.id

    play(scene)


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_master_whose_clock_is_wrong_is_no_matter(hours: float) -> None:
    """Of an application only its age counts, which its master tells by its own clock."""
    claim = Claim(KERNEL, REQUEST.application, since=1000.0)
    master = FakeMaster()
    master.epoch += hours * 3600
    master.submit(NAME, 1, user="gateway")
    master.step()
    answer = cluster_state(master.to_json(), now=master.epoch + master.clock() + 5)
    assert len(sightings(answer, [claim], asked_at=1010.0)[claim].active) == 1
    later = replace(claim, since=2000.0)
    assert not sightings(answer, [later], 1010.0)[later].active


def test_an_adopted_kernel_keeps_the_application_that_it_began_before(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(clusters: Clusters, server: MasterServer) -> None:
        own = register(server, NAME, "gateway", ago=7200)
        clusters.adopt(REQUEST, [server.url], restarted=False, age=7230)
        assert (await lease_when(clusters, server))["app_id"] == own.id

    play(scene)


def test_a_kernel_of_an_older_gateway_is_known_by_the_end_of_the_name() -> None:
    """Its record says no more."""

    async def scene(clusters: Clusters, server: MasterServer) -> None:
        clusters.adopt(replace(REQUEST, application=None), [server.url], restarted=False, age=7230)
        register(server, f"{NAME} x", "gateway")
        own = register(server, f"what spark-defaults.conf called it {KERNEL}", "gateway", ago=7200)
        assert (await lease_when(clusters, server))["app_id"] == own.id

    play(scene)


def test_a_restart_may_call_its_applications_otherwise() -> None:
    async def scene(clusters: Clusters, server: MasterServer) -> None:
        await clusters.acquire(REQUEST, clusters.urls(conf(server)))
        old = register(server, NAME, "gateway")
        assert (await lease_when(clusters, server))["app_id"] == old.id
        clusters.renew(KERNEL)
        server.master.finish(old)
        clusters.renew(KERNEL)
        clusters.rename(KERNEL, AppIdentity(f"renamed {KERNEL}", "gateway"))
        new = register(server, f"renamed {KERNEL}", "gateway")
        register(server, NAME, "gateway")
        assert (await lease_when(clusters, server))["app_id"] == new.id

    play(scene)
