"""Which master is asked for whom, and what becomes of applications whose kernels end or can't be ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from kg2at_personality.admission import messages
from kg2at_personality.admission.clusters import Clusters
from kg2at_personality.admission.policy import AdmissionPolicy
from kg2at_personality.admission.request import AdmissionRequest
from kg2at_personality.spark.cluster import AppIdentity, ExecutorRequest
from kg2at_personality.spark.driver_report import DriverReport
from kg2at_personality.spark.executor_deaths import ExecutorDeaths
from kg2at_personality.spark.master_options import MasterOptions
from kg2at_personality.spark.redaction import Redactor
from tests.fakes.master import FakeApp, FakeMaster
from tests.fakes.master_server import Fault, MasterServer
from tests.fakes.wait import until

KERNEL = "0a1b2c3d-0000-4000-8000-000000000001"
OTHER = "0a1b2c3d-0000-4000-8000-000000000002"
LOG = logging.getLogger("tests.clusters")
LONG = 20.0  # seconds; time-outs that must not pass


def request(kernel_id: str = KERNEL, cores: int = 2) -> AdmissionRequest:
    shown = AppIdentity(f"Apache Toree - Scala {kernel_id}", "someone")
    return AdmissionRequest(
        kernel_id, "apache_toree_scala", "ann", ExecutorRequest(cores, None, 1024), application=shown
    )


def conf(ui: str, master: str = "spark://127.0.0.1:7077") -> Any:
    """A configuration that names the master with this web UI."""
    properties = {"spark.master.ui.port": ui.rpartition(":")[2]}
    return SimpleNamespace(master=master, environ={}, get=properties.get)


@pytest.fixture
def clusters() -> Clusters:
    return Clusters(AdmissionPolicy(), MasterOptions(timeout=LONG), LOG)


def play(clusters: Clusters, scene: Callable[[MasterServer], Awaitable[None]]) -> None:
    """Run `scene(server)` with a master of 8 cores."""

    async def on_stage() -> None:
        master = FakeMaster()
        master.add_worker(8, 16 * 1024)
        async with MasterServer(master) as server:
            await scene(server)
            await clusters.close()

    asyncio.run(on_stage())


def use(server: MasterServer, kernel_id: str = KERNEL, cores: int = 2) -> FakeApp:
    app = server.master.submit(f"Apache Toree - Scala {kernel_id}", cores)
    server.master.step()
    return app


def lease(clusters: Clusters, kernel_id: str = KERNEL) -> dict[str, Any]:
    (found,) = [status["leases"][kernel_id] for status in clusters.status() if kernel_id in status["leases"]]
    return dict(found)


async def settled(clusters: Clusters, state: str) -> None:
    """Wait until the kernel's lease is in this state."""
    await until(lambda: lease(clusters)["state"] == state, f"a lease that is {state}", LONG)


# Which queue.


def test_a_kernel_is_adopted_into_the_queue_that_acquire_used(clusters: Clusters) -> None:
    async def scene(server: MasterServer) -> None:
        await clusters.acquire(request(OTHER), clusters.urls(conf(server.url)))
        assert clusters.urls(conf(server.url)) == (server.url,)
        app = use(server)
        clusters.adopt(request(), [server.url], restarted=False)
        await settled(clusters, "running")
        assert lease(clusters) == {"cores": 2, "granted": 2, "given_back": 0, "state": "running", "app_id": app.id}
        assert [status["urls"] for status in clusters.status()] == [[server.url]]

    play(clusters, scene)


def test_a_kernel_is_adopted_where_nobody_was_admitted_before(clusters: Clusters) -> None:
    async def scene(server: MasterServer) -> None:
        server.master.finish(use(server))
        clusters.adopt(request(), (server.url,), restarted=False)
        clusters.adopt(request(OTHER), (server.url,), restarted=True)
        await settled(clusters, "resting")
        assert clusters.holds(OTHER)
        clusters.release(KERNEL)
        assert not clusters.holds(KERNEL)

    play(clusters, scene)


def test_without_executors_or_checks_nobody_is_asked() -> None:
    free = AdmissionRequest(KERNEL, "python3", "ann", None)
    for policy, asked in ((AdmissionPolicy(), free), (AdmissionPolicy(core_check="off"), request())):
        clusters = Clusters(policy, MasterOptions(), LOG)
        clusters.adopt(asked, ("http://127.0.0.1:1",), restarted=False)
        assert clusters.status() == []


def test_the_urls_are_those_of_the_option_if_it_is_set() -> None:
    clusters = Clusters(AdmissionPolicy(), MasterOptions("h1:1,https://h2:2/"), LOG)
    assert clusters.urls(conf("http://127.0.0.1:8080")) == ("http://h1:1", "https://h2:2")


def test_without_a_master_there_are_no_urls(clusters: Clusters) -> None:
    assert clusters.urls(conf("http://127.0.0.1:8080", master="local[2]")) == ()


# Kernels whose processes have ended.


def test_giving_back_ends_when_the_master_shows_no_application_of_the_kernel(clusters: Clusters) -> None:
    async def scene(server: MasterServer) -> None:
        app = use(server)
        use(server, OTHER)
        clusters.adopt(request(), (server.url,), restarted=False)
        await settled(clusters, "running")
        server.asked.clear()
        given_back = asyncio.ensure_future(clusters.gave_back(KERNEL))
        await server.asked.wait()
        assert not given_back.done()
        server.master.finish(app)
        await asyncio.wait_for(given_back, LONG)

    play(clusters, scene)


def test_an_id_within_another_is_not_the_same_kernel(clusters: Clusters) -> None:
    async def scene(server: MasterServer) -> None:
        app = use(server, "11-1-1-1-11")
        clusters.adopt(request("1-1-1-1-1"), (server.url,), restarted=False)
        await asyncio.wait_for(clusters.gave_back("1-1-1-1-1"), LONG)
        assert await clusters.end_applications("1-1-1-1-1")
        assert (server.killed, server.master.apps) == ([], [app])

    play(clusters, scene)


def test_an_application_that_stays_is_not_waited_for_without_end() -> None:
    clusters = Clusters(AdmissionPolicy(), MasterOptions(timeout=LONG), LOG, give_back_limit=0.1)

    async def scene(server: MasterServer) -> None:
        use(server)
        clusters.adopt(request(), (server.url,), restarted=False)
        await asyncio.wait_for(clusters.gave_back(KERNEL), LONG)
        assert len(server.master.apps) == 1

    play(clusters, scene)


def test_a_master_that_does_not_answer_is_not_waited_for(clusters: Clusters, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(server: MasterServer) -> None:
        server.fault = "500"
        clusters.adopt(request(), (server.url,), restarted=False)
        await asyncio.wait_for(clusters.gave_back(KERNEL), LONG)

    play(clusters, scene)
    assert f"Not known whether kernel {KERNEL} gave back its cores" in caplog.text


# Kernels whose processes can't be ended.


def test_a_zombies_applications_are_ended_at_the_master_and_no_others(clusters: Clusters) -> None:
    async def scene(server: MasterServer) -> None:
        apps = [use(server), use(server, cores=1)]
        other = use(server, OTHER)
        clusters.adopt(request(), (server.url,), restarted=False)
        assert await clusters.end_applications(KERNEL)
        assert (server.killed, server.master.apps) == ([app.id for app in apps], [other])
        assert clusters.holds(KERNEL)  # it is the caller's to release

    play(clusters, scene)


def test_who_holds_nothing_has_nothing_to_end(clusters: Clusters) -> None:
    async def scene(server: MasterServer) -> None:
        clusters.adopt(request(OTHER), (server.url,), restarted=False)
        use(server)
        assert await clusters.end_applications(KERNEL)
        assert server.killed == []

    play(clusters, scene)


@pytest.mark.parametrize(
    ("fault", "kill_fault", "why"),
    [("500", None, "HTTP 500"), (None, "403", "HTTP 403 Forbidden"), (None, "half-closed", "closed")],
)
def test_what_is_not_known_to_have_ended_has_not(
    clusters: Clusters, caplog: pytest.LogCaptureFixture, fault: Fault | None, kill_fault: Fault | None, why: str
) -> None:
    async def scene(server: MasterServer) -> None:
        use(server)
        server.fault, server.kill_fault = fault, kill_fault
        clusters.adopt(request(), (server.url,), restarted=False)
        assert not await clusters.end_applications(KERNEL)

    play(clusters, scene)
    (warning,) = [line for line in caplog.messages if line.startswith("Not known whether the applications")]
    assert KERNEL in warning and why in warning


def test_a_master_that_ends_nothing_is_told_of(clusters: Clusters, caplog: pytest.LogCaptureFixture) -> None:
    """With spark.ui.killEnabled off it answers as if it had."""

    async def scene(server: MasterServer) -> None:
        server.master.kill_enabled = False
        app = use(server)
        clusters.adopt(request(), (server.url,), restarted=False)
        assert not await clusters.end_applications(KERNEL)
        assert server.killed == [app.id]

    play(clusters, scene)
    assert "spark.ui.killEnabled" in caplog.text


# Executors that end by themselves.

ROW = """<tr><td>5</td><td>{worker}</td><td>FAILED</td><td>
<a href="/logPage/?appId={app}&amp;executorId=5&amp;logType=stderr">stderr</a></td></tr>"""


def test_the_deaths_of_a_kernels_executors_are_those_at_its_cluster(clusters: Clusters) -> None:
    async def scene(server: MasterServer) -> None:
        clusters.adopt(request(OTHER), ["http://127.0.0.1:1"], restarted=False)
        clusters.adopt(request(), [server.url], restarted=False)
        app, [worker] = use(server), server.master.workers
        worker.web_ui = server.url
        server.pages["/app/"] = ROW.format(worker=worker.id, app=app.id)
        server.pages["/log/"] = "==== Bytes 0-5 of 5 of x ====\nno!"
        found = await clusters.deaths(KERNEL, app.id, Redactor())
        assert found == ExecutorDeaths(1, ("no!",))
        server.fault = "500"
        nobody = "0a1b2c3d-0000-4000-8000-000000000003"
        assert [await clusters.deaths(one, app.id, Redactor()) for one in (KERNEL, OTHER, nobody)] == 3 * [
            ExecutorDeaths()
        ]

    play(clusters, scene)


def test_what_the_notebook_is_told_of_them() -> None:
    begin = "The executors of this notebook end as soon as they start (3 so far). "
    assert messages.executors_end(ExecutorDeaths(3, ("Error: a", "Caused by: b"))) == (
        f"{begin}The last one said: Error: a | Caused by: b"
    )
    assert messages.executors_end(ExecutorDeaths(3)).startswith(f"{begin}What the last one said is not known")


# What kernels do.


def test_what_a_kernel_does_is_told_to_the_queue_that_has_its_lease(clusters: Clusters) -> None:
    async def scene(server: MasterServer) -> None:
        other = conf("http://127.0.0.1:1", "spark://127.0.0.1:7078")
        clusters.adopt(request(OTHER), clusters.urls(other), restarted=False)
        await clusters.acquire(request(), clusters.urls(conf(server.url)))
        foreign = server.master.submit("nightly", 8)
        server.master.step()
        app = use(server)
        assert app.cores == 0
        assert clusters.wait_of(KERNEL) is None and clusters.given_back(KERNEL) == 0
        clusters.note_work(KERNEL, DriverReport(app_id=app.id, jobs=1, tasks=2), True)
        await until(lambda: clusters.wait_of(KERNEL) is not None, "a word", LONG)
        wait = clusters.wait_of(KERNEL)
        assert wait is not None and (wait.kernel_id, wait.app_id, wait.cores) == (KERNEL, app.id, 2)
        assert "0 of 8 are free; other applications have 8. It is first in line." in wait.message
        server.master.finish(foreign)
        await until(lambda: clusters.wait_of(KERNEL) is None, "its cores", LONG)
        server.master.finish(app)
        clusters.note_work(KERNEL, DriverReport(is_starting=True), True)
        await until(lambda: clusters.given_back(KERNEL) == 2, "all of it", LONG)
        clusters.note_work(OTHER, DriverReport(is_starting=True), True)
        await until(lambda: clusters.wait_of(OTHER) is not None, "what is wrong with its master", LONG)
        wait = clusters.wait_of(OTHER)
        assert wait is not None and (wait.app_id, wait.place) == (None, None)
        assert "Spark master http://127.0.0.1:1" in wait.message and "refused" in wait.message

    play(clusters, scene)
