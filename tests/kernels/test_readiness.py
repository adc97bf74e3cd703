"""What keeps kernels from starting, and how often that is looked for."""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import replace
from typing import Any

import pytest

from kg2at_personality.admission.clusters import Clusters
from kg2at_personality.admission.policy import AdmissionPolicy
from kg2at_personality.kernels import readiness
from kg2at_personality.kernels.launch.launcher import Launcher
from kg2at_personality.kernels.launch.plan import LaunchOptions
from kg2at_personality.kernels.offers import Offers
from kg2at_personality.kernels.readiness import Readiness
from kg2at_personality.kernels.timing import Timing
from kg2at_personality.spark.master_options import MasterOptions
from tests.fakes.held_calls import HeldCalls
from tests.fakes.master import FakeMaster
from tests.fakes.master_server import Fault, MasterServer
from tests.fakes.toree import FakeSpark
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
LOG = logging.getLogger("tests.readiness")
#: Each who asks has it looked, and waits for that.
EAGER = Timing(ready_look=0.0, ready_patience=20.0)


def made(
    timing: Timing = EAGER,
    policy: AdmissionPolicy | None = None,
    timeout: float = 20.0,
    options: LaunchOptions = LaunchOptions(),  # noqa: B008 - it is frozen
) -> Readiness:
    clusters = Clusters(policy or AdmissionPolicy(), MasterOptions(timeout=timeout), LOG)
    found = Readiness(Offers(Launcher(options=options)), clusters, timing, LOG)
    found.open()
    return found


def use(spark: FakeSpark, server: MasterServer) -> None:
    """Have Spark's configuration name the master behind this server."""
    spark.defaults(f"spark.master.ui.port {server.url.rpartition(':')[2]}", master="spark://127.0.0.1:7077")


def cluster() -> FakeMaster:
    master = FakeMaster()
    master.add_worker(8, 16 * 1024)
    return master


async def test_without_a_cluster_spark_is_enough(spark: FakeSpark) -> None:
    assert await made().problem() == ""


async def test_what_is_wrong_is_said_without_names_and_logged_once_with_them(
    spark: FakeSpark, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    found = made()
    for expected in (readiness.CONFIGURATION, readiness.CONFIGURATION, "", ""):
        spark.defaults("spark.driver.memory muchmuch" if expected else "")
        assert await found.problem() == expected
    [broken, mended] = [record.getMessage() for record in caplog.records if record.name == LOG.name]
    assert readiness.CONFIGURATION in broken and "spark.driver.memory" in broken and mended == "Ready again"


async def test_without_a_spark(spark: FakeSpark) -> None:
    shutil.rmtree(spark.root / "spark")
    assert await made().problem() == readiness.INSTALLATION


async def test_without_anything_that_runs_notebooks(spark: FakeSpark) -> None:
    shutil.rmtree(spark.root / "toree")
    assert await made(options=LaunchOptions(python="/nowhere/python3")).problem() == readiness.RUNTIMES


async def test_a_gateway_that_offers_no_kernels_of_kg2at_needs_no_spark(spark: FakeSpark) -> None:
    shutil.rmtree(spark.root / "spark")
    found = Readiness(None, Clusters(AdmissionPolicy(), MasterOptions(), LOG), EAGER, LOG)
    assert await found.problem() == readiness.BEGINNING
    found.open()
    assert await found.problem() == ""


async def test_a_failure_of_its_own_is_a_sentence(spark: FakeSpark, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(Launcher, "conf", fails)
    assert await made().problem() == readiness.FAILED


# The master.


async def test_a_master_that_goes_and_returns(spark: FakeSpark) -> None:
    found, faults = made(), [None, "500", "half-closed", "html", None]
    async with MasterServer(cluster()) as server:
        use(spark, server)
        for fault in faults:
            server.fault = fault
            assert await found.problem() == (readiness.MASTER if fault else "")
        assert server.requests == len(faults)
    await found._clusters.close()


@pytest.mark.parametrize(("status", "expected"), [("RECOVERING", readiness.RECOVERING), ("STANDBY", readiness.MASTER)])
async def test_a_master_that_grants_nothing_yet(spark: FakeSpark, status: str, expected: str) -> None:
    found, master = made(), cluster()
    master.status = status
    async with MasterServer(master) as server:
        use(spark, server)
        assert await found.problem() == expected
    await found._clusters.close()


@pytest.mark.parametrize("policy", [{"core_check": "off"}, {"master_unreachable": "admit"}])
async def test_no_master_is_asked_where_kernels_start_whatever_it_says(spark: FakeSpark, policy: Any) -> None:
    async with MasterServer(cluster()) as server:
        use(spark, server)
        server.fault = "500"
        assert await made(policy=AdmissionPolicy(**policy)).problem() == ""
        assert server.requests == 0


async def test_no_address_of_a_master_is_no_port(spark: FakeSpark) -> None:
    spark.defaults("spark.master.ui.port none", master="spark://127.0.0.1:7077")
    assert await made().problem() == readiness.CONFIGURATION


# One look for all.


async def test_many_who_ask_cost_one_look(spark: FakeSpark, monkeypatch: pytest.MonkeyPatch) -> None:
    held = HeldCalls(monkeypatch, Launcher, "conf")
    async with MasterServer(cluster()) as server:
        use(spark, server)
        found = made(replace(EAGER, ready_look=60.0))
        held.hold()
        asking = [asyncio.ensure_future(found.problem()) for _ in range(100)]
        await held.reached()
        asking.pop().cancel()
        held.release()
        assert set(await asyncio.gather(*asking)) == {""}
        assert set(await asyncio.gather(*(found.problem() for _ in range(100)))) == {""}
        assert (held.calls, server.requests) == (1, 1)
    await found._clusters.close()


@pytest.mark.parametrize("fault", ["slow", "drip"])
async def test_a_master_that_hangs_keeps_nobody_waiting(spark: FakeSpark, fault: Fault) -> None:
    """What was found before is told until it is known."""
    found = made(Timing(ready_look=0.0, ready_patience=0.05), timeout=0.5)
    async with MasterServer(cluster()) as server:
        use(spark, server)
        await until_told(found, "")
        server.fault = fault
        server.asked.clear()
        assert await found.problem() == ""
        await server.asked.wait()
        await until_told(found, readiness.MASTER)
        server.fault = None
        await until_told(found, "")
    await found._clusters.close()


async def until_told(found: Readiness, expected: str) -> None:
    async def told() -> None:
        while await found.problem() != expected:
            pass

    await asyncio.wait_for(told(), 20)


async def test_before_the_first_look_has_ended_it_is_not_known(
    spark: FakeSpark, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, found = HeldCalls(monkeypatch, Launcher, "conf"), made(Timing(ready_patience=0.01))
    held.hold()
    assert await found.problem() == readiness.NOT_KNOWN
    held.release()
    await until(lambda: found._found == "", "what was found")
    assert await found.problem() == ""


async def test_at_the_end_nobody_waits_for_a_look(spark: FakeSpark) -> None:
    found = made()
    async with MasterServer(cluster()) as server:
        use(spark, server)
        server.fault = "slow"
        asking = asyncio.ensure_future(found.problem())
        await server.asked.wait()
        await found.close()
        assert await asking == readiness.ENDING
        await found.close()
        assert await found.problem() == readiness.ENDING
    await found._clusters.close()
