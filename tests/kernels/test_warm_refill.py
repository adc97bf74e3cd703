"""Which kernels are started to wait for users, when, and which are replaced."""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kg2at_personality.kernels import warm_refill
from kg2at_personality.kernels.launch.launcher import Launcher
from kg2at_personality.kernels.manager import GatewayKernelManager
from kg2at_personality.kernels.warm_demand import WarmDemand, WarmOptions
from kg2at_personality.kernels.warm_refill import WarmRefill
from tests.fakes.processes import runs
from tests.fakes.toree import FakeSpark, start
from tests.fakes.wait import until
from tests.fakes.warm_kind import ready
from tests.kernels.warm_scene import EAGER, NAME, SETTINGS, filled

pytestmark = pytest.mark.gen_test(timeout=60)


@pytest.fixture
def settings() -> dict[str, Any]:
    return SETTINGS


@pytest.fixture
def manager(gateway: Any) -> GatewayKernelManager:
    found: GatewayKernelManager = gateway.app.kernel_manager
    found.timing = EAGER
    gateway.app.log.propagate = True
    return found


async def paused(manager: GatewayKernelManager, reason: str) -> None:
    await until(lambda: reason in manager.warm_refill.paused, lambda: manager.warm_refill.paused)


def refill(manager: GatewayKernelManager, options: WarmOptions) -> WarmRefill:
    """Have other options."""
    manager.warm_refill = WarmRefill(manager, manager.warm_pool, WarmDemand(manager, options))
    return manager.warm_refill


class TestDemand:
    @pytest.mark.parametrize(
        ("kernels", "counts"),
        [
            (None, {NAME: 1}),
            ({}, {}),
            ({NAME: 2, "APACHE_TOREE_SQL": 1, "spark_python": 0}, {NAME: 2, "APACHE_TOREE_SQL": 1}),
            ({"python3": 1, "nope": 2}, {}),
        ],
    )
    async def test_what_is_wanted(self, manager: GatewayKernelManager, kernels: Any, counts: dict[str, int]) -> None:
        assert WarmDemand(manager, WarmOptions(kernels)).counts() == counts

    async def test_names_of_nothing_are_told(self, manager: GatewayKernelManager, caplog: Any) -> None:
        refill(manager, WarmOptions({NAME: 1, "nope": 1})).open()
        assert "warm_kernels names 'nope', but kg2at's kernelspecs are: apache_toree_scala" in caplog.text
        assert "No kernel waits" not in caplog.text

    async def test_a_default_that_is_not_kg2ats(self, manager: GatewayKernelManager, caplog: Any) -> None:
        manager.default_kernel_name = "python3"
        refill(manager, WarmOptions()).open()
        assert "No kernel waits for a user: the default kernel, python3, is not one of kg2at's." in caplog.text
        await paused(manager, "the default kernel, python3")

    async def test_eager_contexts(self, manager: GatewayKernelManager) -> None:
        manager.launcher = Launcher(options=replace(manager.launcher.options, spark_context="eager"))
        refill(manager, WarmOptions({NAME: 1})).open()
        await paused(manager, "spark_context is eager")
        assert ready(manager) == []


class TestWhen:
    async def test_several_come_one_after_the_other(self, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        refill(manager, WarmOptions({NAME: 2, "apache_toree_sql": 1}))
        await filled(manager, 3)
        names = [row["name"] for row in manager.warm_pool.status()["kernels"]]
        assert sorted(names) == [NAME, NAME, "apache_toree_sql"]

    async def test_users_go_first(self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        gate = spark.gate()
        kernel_id, kernel = await start(gateway)
        await spark.launched(kernel_id)
        manager.warm_refill.open()
        await paused(manager, "kernels of users are starting")
        assert len(spark.launches()) == 1
        spark.defaults()
        gate.open()
        await kernel.answered()
        await filled(manager)

    async def test_first_cells_count_as_a_start(self, gateway: Any, manager: GatewayKernelManager) -> None:
        """What they load takes as much of a processor. Those of an old kernel are nobody's concern."""
        _, kernel = await start(gateway)
        await kernel.answered()
        await until(lambda: kernel.setup_cell.has_ended and kernel.execution_state == "idle", "idle")
        kernel.execution_state = "busy"
        manager.warm_refill.open()
        await paused(manager, "kernels of users are starting")
        assert manager.warm_pool.status()["kernels"] == []
        kernel.since -= timedelta(seconds=manager.timing.first_cells)
        await filled(manager)

    async def test_it_is_quiet_for_a_while_after_a_start(self, gateway: Any, manager: GatewayKernelManager) -> None:
        manager.timing = replace(EAGER, warm_quiet=600)
        manager.warm_refill.open()
        await paused(manager, "or were a moment ago")
        assert manager.warm_pool.status()["kernels"] == []

    @pytest.mark.parametrize(("free", "starts"), [(2547, False), (2548, True), (None, True)])
    async def test_memory_is_kept_free(
        self, manager: GatewayKernelManager, monkeypatch: pytest.MonkeyPatch, free: int | None, starts: bool
    ) -> None:
        monkeypatch.setattr(warm_refill, "free_memory", lambda: None if free is None else free * 1024 * 1024)
        refill(manager, WarmOptions({NAME: 1}, memory_reserve=2048)).open()
        if starts:
            await filled(manager)
        else:
            await paused(manager, "2547 MiB of memory are free, of which it would take 500 (warm_memory_reserve: 2048)")

    async def test_what_waits_tells_what_the_next_one_takes(
        self, manager: GatewayKernelManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await filled(manager)
        monkeypatch.setattr(warm_refill, "free_memory", lambda: 2100 * 1024 * 1024)
        await manager.warm_refill.close()
        refill(manager, WarmOptions({NAME: 2}, memory_reserve=2000)).open()
        await until(lambda: len(ready(manager)) == 2, "another one, which takes less than 100 MiB")


class TestFailure:
    @pytest.mark.parametrize("broken", ["spark.fake.does die", "spark.cores.max lots", "spark.fake.warms error"])
    async def test_it_is_told_once_and_tried_again_later(
        self, manager: GatewayKernelManager, spark: FakeSpark, caplog: Any, broken: str
    ) -> None:
        spark.defaults(broken)
        manager.timing = replace(EAGER, warm_retry=0.01)
        manager.warm_refill.open()
        await until(lambda: manager.warm_refill._failures and manager.warm_refill._failures[NAME].count >= 3, "three")
        # asyncio's may be of other tests' garbage.
        errors = [each for each in caplog.records if each.levelno >= logging.ERROR and each.name != "asyncio"]
        told = {id(each): each.getMessage() for each in errors}
        assert len(told) == 1 and "it is tried again" in told.popitem()[1]
        manager.timing = replace(EAGER, warm_retry=600.0)
        await paused(manager, "the next try is in")
        spark.defaults()
        manager.warm_refill._failures.clear()
        await filled(manager)
        assert len(spark.living()) == 1

    async def test_pauses_grow_and_are_bounded(self, manager: GatewayKernelManager) -> None:
        pool, now, pauses = manager.warm_refill, manager.warm_refill._now(), []
        for _ in range(40):
            pool._note_failure(NAME, "no")
            pauses.append(round(pool._failures[NAME].until - now, 1))
        assert pauses[0] < pauses[2] < pauses[5] and pauses[-1] == pytest.approx(EAGER.longest_warm_retry, abs=1)

    async def test_one_that_is_never_ready(self, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does hang")
        manager.timing = replace(EAGER, warm_start_limit=0.1, warm_retry=600.0)
        manager.warm_refill.open()
        await paused(manager, "The kernel was not ready after 0.1 s.")
        await until(lambda: not spark.living(), "its end")

    async def test_one_that_dies_again_and_again(self, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        manager.timing = replace(EAGER, warm_retry=600.0)
        [kernel_id] = await filled(manager)
        os.kill(spark.launches(kernel_id)[0]["pid"], signal.SIGKILL)
        await paused(manager, "The kernel that waited died (ended by SIGKILL")


class TestReplaced:
    async def test_a_change_that_only_a_start_takes(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, caplog: Any
    ) -> None:
        [first] = await filled(manager)
        spark.defaults("spark.driver.memory 2g")
        await until(lambda: ready(manager) not in ([], [first]), "another one")
        assert "spark.driver.memory is 2048m, the one that waits has" in caplog.text
        assert not runs(spark.launches(first)[0]["pid"])
        assert (await start(gateway))[1].warm_reason == ""

    async def test_a_change_that_it_takes_when_it_is_handed_out(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark
    ) -> None:
        [first] = await filled(manager)
        [waiting] = manager.warm_pool.free
        files = waiting.files
        spark.defaults("spark.executor.memory 2g")
        await until(lambda: waiting.files is not files, "the look at the change")
        kernel_id, _ = await start(gateway)
        taken = spark.taken(kernel_id)
        assert kernel_id == first and taken is not None and taken["properties"]["spark.executor.memory"] == "2048m"

    async def test_a_configuration_that_is_broken_replaces_none(
        self, manager: GatewayKernelManager, spark: FakeSpark
    ) -> None:
        [first] = await filled(manager)
        [waiting] = manager.warm_pool.free
        spark.defaults("spark.cores.max lots")
        await until(lambda: not waiting.files.have_changed(), "the look at the change")
        assert ready(manager) == [first]

    async def test_one_that_is_too_old(self, manager: GatewayKernelManager) -> None:
        [first] = await filled(manager)
        await manager.warm_refill.close()
        refill(manager, WarmOptions({NAME: 1}, max_age=0.01)).open()
        await until(lambda: ready(manager) not in ([], [first]), "another one")

    async def test_one_that_is_not_wanted_any_more(self, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        await filled(manager)
        await manager.warm_refill.close()
        refill(manager, WarmOptions({"apache_toree_sql": 1})).open()
        await until(
            lambda: [row["name"] for row in manager.warm_pool.status()["kernels"]] == ["apache_toree_sql"], "the other"
        )


async def test_one_look_that_fails_is_not_the_last(manager: GatewayKernelManager, caplog: Any) -> None:
    manager.warm_refill.open()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WarmDemand, "counts", lambda self: 1 / 0)
        await until(lambda: "can't be looked after" in caplog.text, "a failure")
    await until(lambda: ready(manager), "one that waits")
