"""jupyter_server's culler (MappingKernelManager.cull_kernels), what a kernel's driver does, and what is told later."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from kg2at_personality.errors import KernelDied
from kg2at_personality.kernels.kernel import GatewayKernel
from tests.fakes.toree import FakeSpark, reported, start
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
#: Long ago, and a moment ago.
PAST, NOW = timedelta(hours=2), timedelta(seconds=2)


async def unused(gateway: Any, report: bytes | None = None) -> tuple[str, GatewayKernel]:
    """Return a Toree that has run no cell for two hours, and what its driver reports (None: nothing)."""
    kernel_id, kernel = await start(gateway)
    await kernel.answered()
    await until(lambda: kernel.execution_state == "idle", "idle")
    kernel.activity_stream.stop_on_recv()  # a status may still be on its way
    kernel.last_activity = datetime.now(timezone.utc) - PAST
    if report is not None:
        kernel.kind.files.report.write_bytes(report)  # type: ignore[attr-defined]
    gateway.app.kernel_manager.cull_idle_timeout = 3600
    return kernel_id, kernel


def told(answer: Any) -> tuple[int, dict[str, str]]:
    """Status and body of an answer."""
    return answer.code, json.loads(answer.body)


def ago(span: timedelta) -> float:
    return (datetime.now(timezone.utc) - span).timestamp()


@pytest.mark.parametrize("doing", [{"jobs": 1}, {"streams": 1}])
@pytest.mark.parametrize("cull_busy", [False, True])
async def test_one_whose_driver_works_is_not_culled(
    gateway: Any, spark: FakeSpark, doing: dict[str, int], cull_busy: bool
) -> None:
    manager = gateway.app.kernel_manager
    kernel_id, kernel = await unused(gateway, reported(**doing))
    manager.cull_busy = cull_busy
    await manager.cull_kernels()
    assert kernel_id in manager
    kernel.kind.files.report.write_bytes(reported())  # type: ignore[attr-defined]
    await manager.cull_kernels()
    assert kernel_id not in manager


async def test_the_end_of_a_job_is_a_use(gateway: Any, spark: FakeSpark) -> None:
    manager = gateway.app.kernel_manager
    ended = ago(NOW)
    kernel_id, kernel = await unused(gateway, reported(idle_since=ended))
    await manager.cull_kernels()
    assert kernel_id in manager and kernel.last_activity.timestamp() == pytest.approx(ended)
    manager.cull_idle_timeout = 1
    await manager.cull_kernels()
    assert kernel_id not in manager


async def test_a_cell_after_the_last_job_is_one_too(gateway: Any, spark: FakeSpark) -> None:
    manager = gateway.app.kernel_manager
    kernel_id, kernel = await unused(gateway, reported(idle_since=ago(PAST)))
    kernel.last_activity = datetime.now(timezone.utc)
    await manager.cull_kernels()
    assert kernel_id in manager


@pytest.mark.parametrize("report", [None, b"{", reported(idle_since=1.0)])
async def test_one_of_which_nothing_is_known_is_culled_as_ever(
    gateway: Any, spark: FakeSpark, report: bytes | None
) -> None:
    kernel_id, _ = await unused(gateway, report)
    await gateway.app.kernel_manager.cull_kernels()
    assert kernel_id not in gateway.app.kernel_manager


class TestTold:
    """Whoever asks for a kernel that was culled is told so."""

    async def check(self, gateway: Any, method: str, path: str, body: Any = None) -> None:
        code, body = told(await gateway.ask(method, path, body))
        assert code == 404 and body["reason"] == "Kernel was not used", body
        assert "it had not been used for 1 h (cull_idle_timeout)" in body["message"], body

    async def test_by_each_route(self, gateway: Any, spark: FakeSpark) -> None:
        kernel_id, _ = await unused(gateway)
        await gateway.app.kernel_manager.cull_kernels()
        for method, action in (
            ("GET", ""),
            ("GET", "/channels"),
            ("POST", "/restart"),
            ("POST", "/interrupt"),
        ):
            await self.check(gateway, method, f"/api/kernels/{kernel_id}{action}")
        session = {"path": "a.ipynb", "type": "notebook", "kernel": {"id": kernel_id}}
        await self.check(gateway, "POST", "/api/sessions", session)
        assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")).code == 204

    async def test_its_kernelspecs_own_limit(self, gateway: Any, spark: FakeSpark) -> None:
        kernel_id, kernel = await unused(gateway)
        gateway.app.kernel_manager.cull_idle_timeout = 86_400
        kernel.kernel_spec.metadata["cull_idle_timeout"] = 5400
        await gateway.app.kernel_manager.cull_kernels()
        assert (
            "for 90 min (cull_idle_timeout)"
            in told(await gateway.ask("GET", f"/api/kernels/{kernel_id}"))[1]["message"]
        )

    async def test_not_of_one_that_somebody_shut_down(self, gateway: Any, spark: FakeSpark) -> None:
        """Not while it is shut down either, when the culler comes by."""
        kernel_id, kernel = await unused(gateway)
        manager = gateway.app.kernel_manager
        async with kernel.lifecycle:  # which the shutdown waits for
            delete = asyncio.ensure_future(gateway.ask("DELETE", f"/api/kernels/{kernel_id}"))
            await until(lambda: kernel_id in manager.stops, "its shutdown")
            await manager.cull_kernels()
        assert (await delete).code == 204
        assert told(await gateway.ask("GET", f"/api/kernels/{kernel_id}"))[1]["reason"] == "Not Found"

    async def test_not_while_another_kernel_has_its_id(self, gateway: Any, spark: FakeSpark) -> None:
        kernel_id, _ = await unused(gateway)
        await gateway.app.kernel_manager.cull_kernels()
        await start(gateway, kernel_id=kernel_id)
        assert (await gateway.ask("GET", f"/api/kernels/{kernel_id}")).code == 200
        assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")).code == 204
        assert told(await gateway.ask("GET", f"/api/kernels/{kernel_id}"))[1]["reason"] == "Not Found"

    async def test_one_that_was_dead(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does die")
        kernel_id, kernel = await start(gateway)
        with pytest.raises(KernelDied):
            await kernel.answered()
        await gateway.app.kernel_manager.cull_kernels()
        assert "it was dead" in told(await gateway.ask("GET", f"/api/kernels/{kernel_id}"))[1]["message"]
