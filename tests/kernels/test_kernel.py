from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from typing import Any

import pytest
import zmq.asyncio
from tornado.httpclient import HTTPClientError
from tornado.websocket import websocket_connect

from kg2at_personality.errors import KernelDied, SparkConfError
from kg2at_personality.kernels.files import KernelFiles
from kg2at_personality.kernels.kernel import GatewayKernel
from kg2at_personality.kernels.resource_limits import no_room
from kg2at_personality.kernels.timing import Timing
from tests.fakes.clock import ticks
from tests.fakes.held_calls import HeldCalls
from tests.fakes.processes import runs
from tests.fakes.toree import QUICK, FakeSpark, slowly, start
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
DIES = ("spark.fake.does die", "spark.my.password hush", "spark.fake.says no memory for hush")


async def dead(kernel: GatewayKernel) -> str:
    """Wait until the kernel is dead and nothing is left of it; its reason."""
    await until(lambda: kernel.is_dead, "the kernel's death")
    with suppress(KernelDied):
        await kernel.answered()  # those who wait for it are told last
    return kernel.reason


async def listen(gateway: Any, kernel_id: str) -> Any:
    """Open the kernel's websocket."""
    return await websocket_connect(gateway.base_url.replace("http", "ws") + f"/api/kernels/{kernel_id}/channels")


async def model(gateway: Any, kernel_id: str) -> dict[str, Any]:
    return dict(json.loads((await gateway.ask("GET", f"/api/kernels/{kernel_id}")).body))


class TestFirstAnswer:
    async def test_a_kernel_is_starting_until_it_answers(self, gateway: Any, spark: FakeSpark) -> None:
        gate = spark.gate()
        kernel_id, kernel = await start(gateway)
        await spark.launched(kernel_id)
        assert not kernel.has_answered and (await model(gateway, kernel_id))["execution_state"] == "starting"
        gate.open()
        await kernel.answered()
        assert kernel.has_answered and kernel.is_toree and not kernel.is_dead
        await until(lambda: kernel.execution_state == "idle", "idle")

    async def test_it_is_asked_again_when_somebody_else_had_its_port_a_moment_before(
        self, gateway: Any, spark: FakeSpark
    ) -> None:
        """The first question went there, and is lost."""
        gateway.app.kernel_manager.timing = Timing(ask_again=0.3)
        gate = spark.gate()
        _, kernel = await start(gateway)
        with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as other:
            other.bind(f"tcp://{kernel.ip}:{kernel.shell_port}")
            assert b"kernel_info_request" in b"".join(await other.recv_multipart())
        gate.open()
        await kernel.answered()
        assert await gateway.run(kernel.kernel_id, "print(6 * 7)") == "42\n"

    async def test_a_cell_sent_right_after_it_makes_the_kernel_busy(
        self, gateway: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Even when the manager's own socket finds the kernel late: it would be culled in the middle of its job."""
        connect = GatewayKernel.connect_iopub
        monkeypatch.setattr(GatewayKernel, "connect_iopub", lambda self, **more: slowly(connect(self, **more)))
        kernel = gateway.app.kernel_manager.get_kernel(await gateway.start())
        for is_restarted in (False, True):
            if is_restarted:
                await gateway.ask("POST", f"/api/kernels/{kernel.kernel_id}/restart", {})
            await kernel.answered()
            channels = kernel.client()
            channels.start_channels()
            channels.execute("import time; time.sleep(30)")
            await until(lambda: kernel.execution_state == "busy", "busy")
            channels.stop_channels()

    async def test_the_answer_is_kept_for_the_connections(self, gateway: Any) -> None:
        _, kernel = await start(gateway)
        await kernel.answered()
        assert kernel._kernel_info_future.result()["implementation"] == "small"

    async def test_each_who_waits_may_go_without_the_others(self, gateway: Any, spark: FakeSpark) -> None:
        gate = spark.gate()
        _, kernel = await start(gateway)
        impatient = asyncio.ensure_future(kernel.answered())
        patient = asyncio.ensure_future(kernel.answered())
        await ticks()
        impatient.cancel()
        gate.open()
        await patient
        assert impatient.cancelled() and kernel.has_answered

    async def test_a_kernel_that_was_never_started_has_nothing_to_answer(self, gateway: Any) -> None:
        kernel = GatewayKernel(parent=gateway.app.kernel_manager)
        with pytest.raises(KernelDied, match="not been started"):
            await kernel.answered()
        assert not kernel.has_answered and not kernel.is_toree


class TestInterrupts:
    """A Toree learns from the gateway how to be interrupted."""

    async def test_each_process_learns_its_interrupts_before_anybody_asks_it_for_something(
        self, gateway: Any, spark: FakeSpark
    ) -> None:
        kernel_id, kernel = await start(gateway)
        for processes in (1, 2):
            await kernel.answered()
            await gateway.run(kernel_id, "1")
            assert spark.learned(kernel_id) == processes
            await until(lambda: kernel.setup_cell.has_ended and kernel.execution_state == "idle", "idle")
            await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})

    @pytest.mark.parametrize("learns", ["error", "hang"])
    async def test_one_that_does_not_learn_them_goes_on(
        self, gateway: Any, spark: FakeSpark, caplog: Any, learns: str
    ) -> None:
        limit = 0.5 if learns == "hang" else 60
        gateway.app.kernel_manager.timing = Timing(interrupt_limit=limit)
        gateway.app.log.propagate = True
        spark.defaults(f"spark.fake.learns {learns}")
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        await until(lambda: kernel.setup_cell.has_ended, "the end of the cell")
        [line] = {each.getMessage() for each in caplog.records if "may not heed interrupts" in each.getMessage()}
        assert kernel_id in line and ("MatchError: no" if learns == "error" else "TimeoutError") in line
        assert await gateway.run(kernel_id, "print(6 * 7)") == "42\n"

    async def test_one_that_dies_meanwhile(self, gateway: Any, spark: FakeSpark) -> None:
        """It has answered, so it is restarted as any that dies; one that dies each time is dead at last."""
        spark.defaults("spark.fake.learns die")
        kernel_id, kernel = await start(gateway)
        await spark.launched(kernel_id, 2)
        assert "died again and again" in await dead(kernel)


class TestDeathAtStart:
    async def test_who_waits_is_told_the_redacted_reason(self, gateway: Any, spark: FakeSpark, caplog: Any) -> None:
        gateway.app.log.propagate = True
        spark.defaults(*DIES)
        kernel_id, kernel = await start(gateway)
        with pytest.raises(KernelDied) as caught:
            await kernel.answered()
        told = "The kernel died before it answered (exit status 3). Its last lines:\nno memory for *********(redacted)"
        assert str(caught.value) == told and caught.value.status == 503
        assert (await model(gateway, kernel_id)) | {"last_activity": ""} == {
            "id": kernel_id,
            "name": "apache_toree_scala",
            "last_activity": "",
            "execution_state": "dead",
            "connections": 0,
            "reason": told,
            "warm": False,
            "warm_reason": "no kernel of this kind was waiting",
            "metadata": {"spark_ui": None},
        }
        assert any(told in message for message in caplog.messages) and "hush" not in caplog.text

    async def test_a_websocket_that_waits_is_told_too(self, gateway: Any, spark: FakeSpark) -> None:
        gate = spark.gate()
        spark.defaults(f"spark.fake.gate {gate.path}", *DIES)
        kernel_id, kernel = await start(gateway)
        waiting = asyncio.ensure_future(listen(gateway, kernel_id))
        await spark.launched(kernel_id)
        gate.open()
        for websocket in (waiting, listen(gateway, kernel_id)):
            with pytest.raises(HTTPClientError) as refused:
                await websocket
            assert refused.value.code == 503
            body = json.loads(refused.value.response.body)
            assert body == {"reason": "Kernel died at start", "message": kernel.reason}

    async def test_without_a_word(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does die")
        _, kernel = await start(gateway)
        assert await dead(kernel) == "The kernel died before it answered (exit status 3). It printed nothing."

    async def test_by_a_signal(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does hang")
        kernel_id, kernel = await start(gateway)
        os.kill((await spark.launched(kernel_id))["pid"], signal.SIGKILL)
        assert "(ended by SIGKILL, as when memory runs out)" in await dead(kernel)

    async def test_it_is_not_started_again_and_holds_nothing(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does die")
        kernel_id, kernel = await start(gateway)
        await dead(kernel)
        assert kernel._restarter._pcallback is None, "nobody looks after it any more"
        await kernel._restarter.poll()
        assert len(spark.launches(kernel_id)) == 1 and not kernel.has_answered
        assert spark.left() == [] and kernel_id in gateway.app.kernel_manager

    async def test_interrupting_the_dead_is_refused(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does die")
        kernel_id, kernel = await start(gateway)
        await dead(kernel)
        answer = await gateway.ask("POST", f"/api/kernels/{kernel_id}/interrupt", {})
        assert answer.code == 409 and b"Restart it" in answer.body

    async def test_the_dead_can_be_deleted(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does die")
        kernel_id, kernel = await start(gateway)
        await dead(kernel)
        assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")).code == 204
        assert kernel_id not in gateway.app.kernel_manager

    async def test_when_its_cause_is_mended_it_can_be_restarted(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults(*DIES)
        kernel_id, kernel = await start(gateway)
        await dead(kernel)
        spark.defaults()
        answer = await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})
        assert answer.code == 200, answer.body
        await kernel.answered()
        assert not kernel.is_dead and "reason" not in await model(gateway, kernel_id)
        assert await gateway.run(kernel_id, "print(6 * 7)") == "42\n"
        websocket = await listen(gateway, kernel_id)
        websocket.close()

    async def test_and_dies_again_for_a_new_reason(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults(*DIES)
        kernel_id, kernel = await start(gateway)
        await dead(kernel)
        spark.defaults("spark.fake.does die", "spark.fake.says something else")
        assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})).code == 200
        with pytest.raises(KernelDied, match="something else"):
            await kernel.answered()
        assert "something else" in await dead(kernel)


class TestDeathLater:
    async def test_a_kernel_that_has_answered_is_restarted(self, gateway: Any, spark: FakeSpark) -> None:
        kernel_id, kernel = await start(gateway, env={"KERNEL_MARK": "mine"})
        await kernel.answered()
        spark.defaults("spark.my.cores 7")
        os.kill(spark.launches(kernel_id)[0]["pid"], signal.SIGKILL)
        seen = await spark.launched(kernel_id, 2)
        assert seen["properties"]["spark.my.cores"] == "7", "spark-defaults.conf is read afresh"
        assert seen["env"]["KERNEL_MARK"] == "mine"
        await kernel.answered()
        assert not kernel.is_dead and await gateway.run(kernel_id, "print(6 * 7)") == "42\n"

    async def test_when_that_dies_at_start_it_is_dead(self, gateway: Any, spark: FakeSpark) -> None:
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        spark.defaults("spark.fake.does die", "spark.fake.says no such jar")
        os.kill(spark.launches(kernel_id)[0]["pid"], signal.SIGKILL)
        assert "no such jar" in await dead(kernel)
        await until(lambda: spark.left() == [], "the end of its files")
        assert len(spark.launches(kernel_id)) == 2

    async def test_when_the_configuration_is_broken_by_then_it_is_dead_and_says_so(
        self, gateway: Any, spark: FakeSpark
    ) -> None:
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        spark.defaults("spark.cores.max lots")
        os.kill(spark.launches(kernel_id)[0]["pid"], signal.SIGKILL)
        await until(lambda: kernel.is_dead and spark.left() == [], "the kernel's death")
        assert "spark-defaults.conf, line 2" in kernel.reason

    async def test_one_that_is_shut_down_while_its_last_lines_are_read_is_not_restarted(
        self, gateway: Any, spark: FakeSpark, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        lines = HeldCalls(monkeypatch, KernelFiles, "last_lines")
        lines.hold()
        os.kill(spark.launches(kernel_id)[0]["pid"], signal.SIGKILL)
        await lines.reached()
        click = asyncio.ensure_future(gateway.ask("DELETE", f"/api/kernels/{kernel_id}"))
        await until(lambda: kernel.shutting_down, "the shutdown")
        lines.release()
        assert (await click).code == 204
        assert len(spark.launches(kernel_id)) == 1 and kernel.reason == ""


class TestDeathAgainAndAgain:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return QUICK | {"KernelRestarter": {"time_to_dead": 0.1, "restart_limit": 0}}

    async def test_it_is_dead_and_whoever_comes_is_told(self, gateway: Any, spark: FakeSpark) -> None:
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        os.kill(spark.launches(kernel_id)[0]["pid"], signal.SIGKILL)
        assert "again and again" in await dead(kernel)
        await until(lambda: spark.left() == [], "its files to go")
        with pytest.raises(HTTPClientError) as refused:
            await asyncio.wait_for(listen(gateway, kernel_id), 20)
        assert refused.value.code == 503
        assert "again and again" in json.loads(refused.value.response.body)["message"]
        assert kernel_id in gateway.app.kernel_manager and not kernel.has_answered


class TestRestart:
    async def test_by_a_plan_made_anew(self, gateway: Any, spark: FakeSpark) -> None:
        kernel_id, kernel = await start(gateway, env={"KERNEL_SPARK_DRIVER_MEMORY": "700m"})
        await kernel.answered()
        spark.defaults("spark.my.number 7", "spark.driver.memory 500m")
        assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})).code == 200
        seen = await spark.launched(kernel_id, 2)
        assert seen["properties"]["spark.my.number"] == "7"
        assert seen["properties"]["spark.driver.memory"] == "700m", "the request still wins"
        assert not runs(spark.launches(kernel_id)[0]["pid"])
        await kernel.answered()

    async def test_a_new_start_has_not_answered_yet(self, gateway: Any, spark: FakeSpark) -> None:
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        gate = spark.gate()
        await gateway.app.kernel_manager.restart_kernel(kernel_id)
        assert not kernel.has_answered and kernel.execution_state == "starting"
        seen = await spark.launched(kernel_id, 2)
        await gateway.app.kernel_manager.interrupt_kernel(kernel_id)
        gate.open()
        await kernel.answered()
        assert runs(seen["pid"])

    async def test_one_whose_port_was_taken_for_a_moment_starts_on_others(self, gateway: Any, spark: FakeSpark) -> None:
        """Nobody has it any more when the gateway looks."""
        spark.defaults("spark.fake.does die", "spark.fake.says Address already in use")
        kernel_id, kernel = await start(gateway)
        ports = list(kernel.ports)
        await spark.launched(kernel_id)
        spark.defaults()
        await kernel.answered()
        assert kernel.ports != ports

    async def test_what_the_old_process_said_last_is_not_the_new_ones(self, gateway: Any, spark: FakeSpark) -> None:
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        stream, gate = kernel.activity_stream, spark.gate()
        await gateway.app.kernel_manager.restart_kernel(kernel_id)
        assert stream.closed() and not kernel.activity_stream.closed(), "it may hold an idle that comes late"
        gate.open()
        await kernel.answered()
        await until(lambda: kernel.execution_state == "idle", "idle, by the new socket")

    async def test_one_without_room_for_another_socket_keeps_the_one_it_has(
        self, gateway: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        stream, connect = kernel.activity_stream, GatewayKernel.connect_iopub

        def connect_iopub(self: GatewayKernel, **more: Any) -> Any:
            if self.startup.has_answered:  # so it is not one of the new process
                raise no_room("sockets")
            return connect(self, **more)

        monkeypatch.setattr(GatewayKernel, "connect_iopub", connect_iopub)
        await gateway.app.kernel_manager.restart_kernel(kernel_id)
        await kernel.answered()
        assert kernel.activity_stream is stream and not stream.closed()
        await until(lambda: kernel.execution_state == "idle", "idle")

    async def test_a_broken_configuration_refuses_it_and_the_kernel_goes_on(
        self, gateway: Any, spark: FakeSpark
    ) -> None:
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        spark.defaults("spark.cores.max lots")
        answer = await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})
        assert answer.code == SparkConfError.status and b"spark-defaults.conf, line 2" in answer.body
        assert kernel.has_answered and await gateway.run(kernel_id, "print(6 * 7)") == "42\n"

    async def test_one_that_fails_leaves_a_dead_kernel_that_says_why(
        self, gateway: Any, spark: FakeSpark, monkeypatch: Any
    ) -> None:
        kernel_id, kernel = await start(gateway)
        await kernel.answered()

        async def fail(*_: Any, **__: Any) -> None:
            raise OSError("no more processes")

        monkeypatch.setattr("jupyter_client.provisioning.LocalProvisioner.launch_kernel", fail)
        answer = await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})
        assert answer.code in (500, 503) and b"Traceback" not in answer.body
        assert kernel.is_dead and "no more processes" in kernel.reason
        assert spark.left() == [] and spark.living() == []
        monkeypatch.undo()
        with pytest.raises(KernelDied, match="no more processes"):
            await asyncio.wait_for(kernel.answered(), 20)


class TestShutdown:
    async def test_while_it_starts(self, gateway: Any, spark: FakeSpark, monkeypatch: pytest.MonkeyPatch) -> None:
        gate = spark.gate()
        kernel_id, kernel = await start(gateway)
        seen = await spark.launched(kernel_id)
        answered, asked = kernel.answered, list[None]()
        monkeypatch.setattr(kernel, "answered", lambda: asked.append(None) or answered())
        waiting = asyncio.ensure_future(listen(gateway, kernel_id))
        await until(lambda: asked, "the websocket's request")
        assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")).code == 204
        with pytest.raises(HTTPClientError) as refused:
            await waiting
        assert refused.value.code == 503 and b"was shut down before it answered" in refused.value.response.body
        assert not runs(seen["pid"]) and spark.left() == []
        with pytest.raises(KernelDied, match="shut down"):
            await kernel.answered()
        gate.path.unlink()

    async def test_of_one_that_does_not_listen(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does hang", "spark.fake.child yes")
        kernel_id, _ = await start(gateway)
        seen = await spark.launched(kernel_id)
        await gateway.app.kernel_manager.shutdown_kernel(kernel_id)
        await until(lambda: not runs(seen["pid"]) and not runs(seen["child"]), "the end of its processes")

    async def test_it_leaves_no_watch(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does hang")
        kernel_id, kernel = await start(gateway)
        await gateway.app.kernel_manager.shutdown_kernel(kernel_id, now=True)
        await asyncio.wait([kernel.startup._watch], timeout=10)
        assert kernel.startup._watch.cancelled()
