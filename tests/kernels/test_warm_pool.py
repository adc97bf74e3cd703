"""Kernels that wait for users: what is seen of them, who gets one, and what is left when something goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from kg2at_personality.kernels.manager import GatewayKernelManager
from tests.fakes.processes import runs
from tests.fakes.toree import FakeSpark
from tests.fakes.wait import until
from tests.fakes.warm_kind import WarmKind, ready
from tests.kernels.warm_scene import EAGER, NAME, SETTINGS, check_nothing_is_left, filled, filled_once, post, status

pytestmark = pytest.mark.gen_test(timeout=60)


@pytest.fixture
def settings() -> dict[str, Any]:
    own = SETTINGS["KG2ATPersonality"] | {"profiles": {"large": {"spark.cores.max": 8, "users": "admins"}}}
    return SETTINGS | {"KG2ATPersonality": own, "KernelGatewayApp": {"max_kernels": 6}}


@pytest.fixture
def manager(gateway: Any, kind: WarmKind) -> GatewayKernelManager:
    found: GatewayKernelManager = gateway.app.kernel_manager
    found.timing = EAGER
    return found


class TestWaiting:
    async def test_nobody_sees_it(self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        [kernel_id] = await filled(manager)
        assert json.loads((await gateway.ask("GET", "/api/kernels")).body) == [] and len(manager) == 0
        seen = await status(gateway)
        assert seen["kernels"] == [] and seen["queue"] == []
        [row] = seen["warm"]["kernels"]
        launch = await spark.launched(kernel_id)
        assert (row["kernel_id"], row["name"], row["state"], row["pid"]) == (kernel_id, NAME, "ready", launch["pid"])
        assert seen["warm"] | {"kernels": []} == {"kernels": [], "handed_out": 0, "missed": {}, "paused": ""}
        for method in ("GET", "DELETE"):
            assert (await gateway.ask(method, f"/api/kernels/{kernel_id}")).code == 404
        assert (await gateway.ask("POST", "/api/kernels", {"kernel_id": kernel_id})).code == 409
        assert runs(launch["pid"])

    async def test_it_holds_nothing_of_a_clients(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRET_OF_THE_GATEWAY", "hush")
        [kernel_id] = await filled(manager)
        assert "SECRET_OF_THE_GATEWAY" not in (await spark.launched(kernel_id))["env"]

    async def test_it_is_replaced_when_it_dies(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark
    ) -> None:
        [first] = await filled(manager)
        os.kill((await spark.launched(first))["pid"], signal.SIGKILL)
        await until(lambda: ready(manager) not in ([], [first]), "another one")
        assert len(spark.launches(first)) == 1, "it is not restarted"
        await until(lambda: len(spark.living()) == 1, "one process")


class TestHandOut:
    async def test_a_start_gets_it(self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        [kernel_id] = await filled(manager)
        model = await post(gateway, env={"KERNEL_USERNAME": "anna", "KERNEL_MARK": "m"})
        assert (model["id"], model["warm"], model["warm_reason"]) == (kernel_id, True, "")
        show = "import os; print(os.environ['KERNEL_MARK'], os.environ['KERNEL_ID'])"
        assert await gateway.run(kernel_id, show) == f"m {kernel_id}\n"
        kernel = manager.get_kernel(kernel_id)
        assert kernel.user == "anna"
        await until(lambda: kernel.execution_state == "idle", "what its notebook has heard already")
        [row] = (await status(gateway))["kernels"]
        assert (row["warm"], row["warm_reason"], row["user"]) == (True, "", "anna")
        await until(lambda: ready(manager) not in ([], [kernel_id]), "the next one")
        assert (await status(gateway))["warm"]["handed_out"] == 1

    async def test_one_serves_other_languages_and_profiles(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark
    ) -> None:
        for name in ("apache_toree_sql", f"{NAME}_large"):
            [kernel_id] = await filled(manager)
            model = await post(gateway, name=name, env={"KERNEL_MARK": name})
            assert (model["id"], model["name"], model["warm"]) == (kernel_id, name, True)
            kernel = manager.get_kernel(kernel_id)
            assert kernel.kind.interpreter == ("SQL" if "sql" in name else "Scala") and kernel.plan is not None
            assert kernel.plan.conf.get("spark.cores.max") == ("8" if "large" in name else None)
            await until(lambda: len(ready(manager)) == 1, "the next one")

    async def test_its_restart_is_its_users_own_start(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark
    ) -> None:
        [kernel_id] = await filled(manager)
        await post(gateway, name=f"{NAME}_large", env={"KERNEL_MARK": "m"})
        assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})).code == 200
        launch = await spark.launched(kernel_id, 2)
        assert launch["env"]["KERNEL_MARK"] == "m" and launch["properties"]["spark.cores.max"] == "8"
        await manager.get_kernel(kernel_id).answered()

    async def test_it_is_restarted_when_it_dies(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark
    ) -> None:
        [kernel_id] = await filled(manager)
        await post(gateway)
        kernel = manager.get_kernel(kernel_id)
        await kernel.answered()
        os.kill((await spark.launched(kernel_id))["pid"], signal.SIGKILL)
        await spark.launched(kernel_id, 2)

    async def test_a_deleted_one_is_gone(self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        [kernel_id] = await filled_once(manager)
        await post(gateway)
        for _ in range(2):
            assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")).code == 204
        check_nothing_is_left(manager, spark)


class TestCold:
    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (
                {"env": {"KERNEL_SPARK_DRIVER_MEMORY": "2g"}},
                "spark.driver.memory is 2048m, the one that waits has 1024m",
            ),
            ({"path": "tests"}, "working directory is"),
            ({"kernel_id": "1-2-3-4-5"}, "its client has chosen its id"),
            ({"name": "python3"}, "only kg2at's own kernels wait for users"),
        ],
    )
    async def test_the_reason_is_told(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, body: dict[str, Any], reason: str
    ) -> None:
        [kernel_id] = await filled_once(manager)
        model = await post(gateway, **body)
        assert not model["warm"] and reason in model["warm_reason"] and model["id"] != kernel_id
        seen = (await status(gateway))["warm"]
        assert seen["missed"] == {model["warm_reason"]: 1} and [row["kernel_id"] for row in seen["kernels"]] == [
            kernel_id
        ]
        assert (await post(gateway))["id"] == kernel_id, "and it goes on waiting for others"

    async def test_of_six_at_once_one_is_warm(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, kind: WarmKind
    ) -> None:
        """None of the others waits for its hand-out."""
        await filled_once(manager)
        kind.holds = "hand_out"
        starts = [asyncio.ensure_future(post(gateway)) for _ in range(6)]
        await until(lambda: sum(start.done() for start in starts) == 5, "the cold ones")
        kind.go.set()
        models = await asyncio.gather(*starts)
        assert sorted(model["warm"] for model in models) == [False] * 5 + [True]
        reasons = {model["warm_reason"] for model in models if not model["warm"]}
        assert reasons == {"no kernel of this kind was waiting"} and len(manager) == 6

    @pytest.mark.parametrize("fails", ["hand_out", "death", "misfit"])
    async def test_a_hand_out_that_fails_ends_it_and_the_start_goes_on(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, kind: WarmKind, fails: str
    ) -> None:
        [kernel_id] = await filled_once(manager)
        pid = (await spark.launched(kernel_id))["pid"]
        if fails == "death":
            os.kill(pid, signal.SIGKILL)
            # Whose main thread is a zombie may have others that end a moment later.
            [waiting] = manager.warm_pool.free
            await until(lambda: waiting.kernel.provisioner.process.poll() is not None, "its death")
        kind.fails = fails
        if fails == "misfit":
            assert (await gateway.ask("POST", "/api/kernels", {"name": NAME})).code == 500
            assert ready(manager) == [kernel_id]
            return
        model = await post(gateway)
        reason = "the kernel that waited has died" if fails == "death" else "could not be handed out: no hand_out"
        assert not model["warm"] and reason in model["warm_reason"] and model["id"] != kernel_id
        assert manager.list_kernel_ids() == [model["id"]] and not runs(pid)
        assert fails == "death" or manager.warm_pool.status()["kernels"] == []

    async def test_one_that_does_not_take_it(
        self, gateway: Any, manager: GatewayKernelManager, spark: FakeSpark
    ) -> None:
        [kernel_id] = await filled_once(manager)
        manager.timing = replace(EAGER, hand_out_limit=0.05)
        spark.defaults("spark.fake.takes hang")
        model = await post(gateway)
        assert "could not be handed out: it did not take" in model["warm_reason"] and model["id"] != kernel_id
        assert runs((await spark.launched(model["id"]))["pid"])
        await until(lambda: not runs(spark.launches(kernel_id)[0]["pid"]), "its end")
