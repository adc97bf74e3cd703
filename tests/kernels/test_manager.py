from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from kg2at_personality.errors import InstallationError, RequestError, SparkConfError, TooManyKernels, UnknownKernelSpec
from kg2at_personality.kernels import provisioner
from kg2at_personality.kernels.kernel import GatewayKernel
from kg2at_personality.kernels.launch.launcher import Launcher
from kg2at_personality.kernels.manager import GatewayKernelManager
from kg2at_personality.kernels.provisioner import SparkProvisioner
from kg2at_personality.kernels.startup import Startup
from tests.fakes.held_calls import HeldCalls
from tests.fakes.ports import held_range
from tests.fakes.processes import runs
from tests.fakes.toree import QUICK, FakeSpark, start
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
HANGS = "spark.fake.does hang"


@pytest.fixture
def manager(gateway: Any) -> GatewayKernelManager:
    found = gateway.app.kernel_manager
    assert isinstance(found, GatewayKernelManager)
    return found


def check_nothing_is_left(manager: GatewayKernelManager, spark: FakeSpark) -> None:
    assert (manager.list_kernel_ids(), manager.starts._starts, manager._pending_kernels) == ([], {}, {})
    assert manager._kernel_connections == {} and not manager.starts and manager._tasks == set()
    assert manager.kernel_ports is None or manager.kernel_ports._taken == set()
    assert spark.left() == [] and spark.living() == []


async def start_and_hold(gateway: Any, spark: FakeSpark, launches: HeldCalls) -> None:
    """Start a kernel, and hold the launches of all that come after it."""
    spark.defaults(HANGS)
    kernel_id, _ = await start(gateway)
    await spark.launched(kernel_id)
    launches.hold()


async def left_by_shutdown(gateway: Any, launches: HeldCalls) -> int:
    """Shut down while launches are held, let them go on then, and return how many kernels are left at the end."""
    manager = gateway.app.kernel_manager
    ending = asyncio.ensure_future(gateway.app.personality.shutdown())
    await until(lambda: manager.starts._is_closed, "the end of starts")
    launches.release()
    await ending
    return len(manager)


class TestStart:
    async def test_the_default_is_toree(self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        spark.defaults(HANGS)
        kernel_id = await manager.start_kernel()
        assert manager.get_kernel(kernel_id).kernel_name == manager.default_kernel_name == "apache_toree_scala"

    async def test_the_default_follows_what_is_offered(
        self, manager: GatewayKernelManager, spark: FakeSpark, monkeypatch: Any
    ) -> None:
        for version, scala, expected in (("4.0.1", "2.13", "spark_python"), ("3.5.2", "2.12", "apache_toree_scala")):
            spark.become(version, scala)
            manager.kernel_spec_manager.get_all_specs()
            assert manager.default_kernel_name == expected

    async def test_what_is_not_offered_says_why(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark
    ) -> None:
        """As it is now, whatever was listed before."""
        spark.become("4.0.1", "2.13", pyspark=False)
        for name, said in (
            ("apache_toree_sql", "is built for Scala 2.12, Spark 4.0.1"),
            ("spark_python", "comes without PySpark"),
        ):
            with pytest.raises(InstallationError, match=said):
                await manager.start_kernel(kernel_name=name)
        check_nothing_is_left(manager, spark)

    async def test_each_kernel_has_its_own_environment_and_nothing_else(
        self, gateway: Any, spark: FakeSpark, monkeypatch: Any
    ) -> None:
        spark.defaults(HANGS)
        monkeypatch.setenv("KERNEL_OF_THE_GATEWAY", "1")
        marks = ["a", "b", "c", None]
        started = await asyncio.gather(*(start(gateway, env=None if m is None else {"KERNEL_MARK": m}) for m in marks))
        for (kernel_id, _), mark in zip(started, marks, strict=True):
            env = (await spark.launched(kernel_id))["env"]
            assert env.get("KERNEL_MARK") == mark
            assert mark is None or "KERNEL_OF_THE_GATEWAY" not in env

    async def test_a_request_sizes_its_own_kernel(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults(HANGS, "spark.cores.max 2")
        for env, cores in (({"KERNEL_SPARK_CORES_MAX": "3"}, "3"), ({"KERNEL_MARK": "x"}, "2"), (None, "2")):
            kernel_id, _ = await start(gateway, env=env)
            assert (await spark.launched(kernel_id))["properties"]["spark.cores.max"] == cores

    async def test_a_known_id_is_that_kernel(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults(HANGS)
        for _ in range(2):
            kernel_id, _ = await start(gateway, kernel_id="1-2-3-4-5")
            assert kernel_id == "1-2-3-4-5"
        await spark.launched(kernel_id)
        assert len(spark.launches()) == 1

    async def test_one_id_twice_at_once_is_one_kernel(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, launches: HeldCalls
    ) -> None:
        """A client whose request timed out sends it again: no process may run that nobody knows."""
        spark.defaults(HANGS)
        results = await asyncio.gather(
            *(start(gateway, kernel_id="1-2-3-4-5") for _ in range(2)), return_exceptions=True
        )
        assert any(not isinstance(result, BaseException) for result in results), results
        await manager.shutdown_all_kernels()
        assert launches.calls == 1 and spark.living() == []
        check_nothing_is_left(manager, spark)

    async def test_an_unknown_name(self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        with pytest.raises(UnknownKernelSpec, match="There are: apache_toree_scala, apache_toree_sql, python3"):
            await manager.start_kernel(kernel_name="nope")
        check_nothing_is_left(manager, spark)

    @pytest.mark.parametrize(
        ("env", "lines", "error"),
        [
            ({"KERNEL_SPARK_CORES_MAX": "lots"}, [], RequestError),
            ({}, ["spark.cores.max lots"], SparkConfError),
        ],
    )
    async def test_a_refusal_costs_no_process(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, env: Any, lines: Any, error: Any
    ) -> None:
        spark.defaults(*lines)
        with pytest.raises(error):
            await start(gateway, env=env)
        assert spark.launches() == []
        check_nothing_is_left(manager, spark)

    async def test_other_kernels_have_no_plan(self, gateway: Any, manager: GatewayKernelManager) -> None:
        assert await manager.supplies.plan("python3", {}) is None
        kernel_id = await manager.start_kernel(kernel_name="python3")
        kernel = manager.get_kernel(kernel_id)
        assert isinstance(kernel, GatewayKernel) and not kernel.is_toree
        await kernel.answered()


class TestProfile:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return QUICK | {"KG2ATPersonality": {"profiles": {"large": {"spark.cores.max": 8}}}}

    async def test_it_reaches_its_kernel(self, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        spark.defaults(HANGS)
        kernel_id = await manager.start_kernel(kernel_name="apache_toree_scala_large")
        assert (await spark.launched(kernel_id))["properties"]["spark.cores.max"] == "8"


class TestForcedName:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return QUICK | {"KernelGatewayApp": {"force_kernel_name": "apache_toree_sql"}}

    async def test_the_administrators_choice_holds(self, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        spark.defaults(HANGS)
        for name in ("python3", "apache_toree_scala", None):
            kernel_id = await manager.start_kernel(kernel_name=name)
            assert manager.get_kernel(kernel_id).kernel_name == "apache_toree_sql"


class TestLimit:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return QUICK | {"KernelGatewayApp": {"max_kernels": 3}}

    async def test_it_holds_for_eight_at_once(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, plans: HeldCalls
    ) -> None:
        spark.defaults(HANGS)
        plans.hold()
        starts = [asyncio.ensure_future(start(gateway)) for _ in range(8)]
        await until(lambda: sum(task.done() for task in starts) == 5, "five refusals")
        plans.release()
        results = await asyncio.gather(*starts, return_exceptions=True)
        assert [type(result) for result in results].count(TooManyKernels) == 5
        assert len(manager) == 3 and not manager.starts
        await until(lambda: len(spark.launches()) == 3, "three launches")

    async def test_a_failed_start_gives_its_place_back(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.cores.max lots")
        results = await asyncio.gather(*(start(gateway) for _ in range(3)), return_exceptions=True)
        assert {type(result) for result in results} == {SparkConfError}
        spark.defaults(HANGS)
        await asyncio.gather(*(start(gateway) for _ in range(3)))
        with pytest.raises(TooManyKernels):
            await start(gateway)

    async def test_the_dead_take_no_place(self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does die")
        kernels = [await start(gateway) for _ in range(3)]
        await until(lambda: all(kernel.is_dead for _, kernel in kernels), "their deaths")
        spark.defaults(HANGS)
        await start(gateway)
        assert len(manager) == 4


class TestCancel:
    """Law 12: whoever goes away between taking and handing over leaves nothing, wherever he goes."""

    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return QUICK | {"KG2ATPersonality": {"kernel_ports": held_range(5)}, "KernelGatewayApp": {"max_kernels": 1}}

    @pytest.mark.parametrize(
        ("cls", "method"),
        [
            (Launcher, "plan"),
            (GatewayKernelManager, "pre_start_kernel"),
            (GatewayKernel, "start_kernel"),
            (SparkProvisioner, "pre_launch"),
            (provisioner, "environment"),
            (SparkProvisioner, "_write_files"),
            (SparkProvisioner, "launch_kernel"),
            (GatewayKernel, "_async_post_start_kernel"),
            (GatewayKernelManager, "_finish_kernel_start"),
            (Startup, "watch"),
        ],
    )
    async def test_at(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, monkeypatch: Any, cls: Any, method: str
    ) -> None:
        spark.defaults(HANGS)
        loop, real = asyncio.get_running_loop(), getattr(cls, method)

        def go_away(*args: Any, **kwargs: Any) -> Any:
            loop.call_soon_threadsafe(begun.cancel)
            return real(*args, **kwargs)

        monkeypatch.setattr(cls, method, go_away)
        begun = asyncio.ensure_future(start(gateway))
        with pytest.raises(asyncio.CancelledError):
            await begun
        await until(lambda: not manager._tasks, "the kernel to be taken back")
        check_nothing_is_left(manager, spark)
        monkeypatch.undo()
        spark.enter(monkeypatch)
        spark.defaults(HANGS)
        await start(gateway)

    async def test_a_start_that_fails_when_nobody_waits_any_more(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, plans: HeldCalls
    ) -> None:
        plans.hold()
        begun = asyncio.ensure_future(start(gateway))
        await plans.reached()
        begun.cancel()
        with pytest.raises(asyncio.CancelledError):
            await begun
        spark.defaults("spark.cores.max lots")
        plans.release()
        await until(lambda: not manager._tasks, "the start to fail")
        check_nothing_is_left(manager, spark)


class TestShutdown:
    async def test_all_end_side_by_side(self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        spark.defaults(HANGS, "spark.fake.child yes")
        for _ in range(3):
            await start(gateway)
        await until(lambda: len(spark.launches()) == 3, "three launches")
        ending = 0
        most = 0
        real = GatewayKernel._async_finish_shutdown

        async def counted(kernel: GatewayKernel, *args: Any, **kwargs: Any) -> None:
            nonlocal ending, most
            ending += 1
            most = max(most, ending)
            await real(kernel, *args, **kwargs)
            ending -= 1

        GatewayKernel._async_finish_shutdown = counted
        try:
            await gateway.app.personality.shutdown()
        finally:
            GatewayKernel._async_finish_shutdown = real
        assert most == 3
        check_nothing_is_left(manager, spark)

    async def test_one_that_fails_keeps_no_other_from_it(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, monkeypatch: Any, caplog: Any
    ) -> None:
        gateway.app.log.propagate = True
        spark.defaults(HANGS)
        kernels = dict([await start(gateway) for _ in range(3)])
        ids = list(kernels)
        await until(lambda: len(spark.launches()) == 3, "three launches")
        real = GatewayKernel._async_request_shutdown

        async def refuse(kernel: GatewayKernel, *args: Any, **kwargs: Any) -> None:
            if kernel.kernel_id == ids[1]:
                raise PermissionError(1, "Operation not permitted")
            await real(kernel, *args, **kwargs)

        monkeypatch.setattr(GatewayKernel, "_async_request_shutdown", refuse)
        await gateway.app.personality.shutdown()
        assert [runs(spark.launches(kernel_id)[0]["pid"]) for kernel_id in ids] == [False, True, False]
        assert any(ids[1] in message and "not permitted" in message for message in caplog.messages)
        await kernels[ids[1]].termination.discard()

    async def test_while_a_kernel_is_being_started(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, launches: HeldCalls
    ) -> None:
        """The gateway's loop ends with the shutdown: what is launched meanwhile would run for ever."""
        await start_and_hold(gateway, spark, launches)
        begun = asyncio.ensure_future(start(gateway))
        await launches.reached()
        at_the_end = await left_by_shutdown(gateway, launches)
        await asyncio.wait([begun])
        await gateway.app.personality.shutdown()
        assert at_the_end == 0
        check_nothing_is_left(manager, spark)

    async def test_none_is_started_any_more(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark
    ) -> None:
        """A request on a connection that is kept alive comes while the others end."""
        spark.defaults(HANGS)
        await start(gateway)
        ending = asyncio.ensure_future(gateway.app.personality.shutdown())
        await until(lambda: manager.starts._is_closed, "the end of starts")
        late = asyncio.ensure_future(gateway.ask("POST", "/api/kernels", {"name": "apache_toree_scala"}))
        await ending
        at_the_end = (len(manager), len(manager.starts))
        answer = await late
        await gateway.app.personality.shutdown()
        assert at_the_end == (0, 0) and answer.code == 503, (at_the_end, answer.code)

    async def test_twice_is_once(self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        spark.defaults(HANGS)
        await start(gateway)
        await gateway.app.personality.shutdown()
        await gateway.app.personality.shutdown()
        check_nothing_is_left(manager, spark)


class TestPrespawn:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return QUICK | {"KernelGatewayApp": {"prespawn_count": 2}}

    async def test_they_are_there(self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        spark.defaults(HANGS)
        await gateway.app.personality.init_configurables()
        assert [model["name"] for model in manager.list_kernels()] == ["apache_toree_scala"] * 2

    async def test_one_that_fails_is_told_and_does_not_hang_the_end(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, caplog: Any
    ) -> None:
        gateway.app.log.propagate = True
        spark.defaults("spark.cores.max lots")
        await gateway.app.personality.init_configurables()
        told = {record.getMessage() for record in caplog.records if "prespawned kernel did not start" in record.msg}
        assert len(told) == 1 and "spark-defaults.conf, line 2" in told.pop()
        await asyncio.wait_for(gateway.app.personality.shutdown(), 20)
        check_nothing_is_left(manager, spark)

    async def test_the_end_comes_before_they_are_there(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, launches: HeldCalls
    ) -> None:
        await start_and_hold(gateway, spark, launches)
        spawning = asyncio.ensure_future(gateway.app.personality.init_configurables())
        await launches.reached(2)
        at_the_end = await left_by_shutdown(gateway, launches)
        await asyncio.wait([spawning])
        await until(lambda: not manager._tasks, "what was begun to be taken back")
        assert at_the_end == 0
        check_nothing_is_left(manager, spark)


async def test_a_session_and_a_kernel_by_its_id_are_one_kernel(gateway: Any, spark: FakeSpark) -> None:
    spark.defaults(HANGS)
    body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "apache_toree_scala"}}
    session = json.loads((await gateway.ask("POST", "/api/sessions", body)).body)
    await spark.launched(session["kernel"]["id"])
    assert len(spark.launches()) == 1


def test_a_callback_is_no_coroutine(gateway: Any, manager: GatewayKernelManager) -> None:
    """jupyter_client's restarter calls it and awaits nothing; an unknown kernel is nothing to it."""
    callback: Callable[[str], None] = manager._handle_kernel_died
    assert callback("1-2-3-4-5") is None
