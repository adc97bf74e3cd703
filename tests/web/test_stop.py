"""One click is enough: every way to end a kernel, alone, at once, again, and against the system's will."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import psutil
import pytest
from jupyter_server.prometheus.metrics import KERNEL_CURRENTLY_RUNNING_TOTAL

from kg2at_personality.kernels.timing import Timing
from tests.fakes.clock import ticks

pytestmark = pytest.mark.gen_test(timeout=60)


def running() -> float:
    """jupyter_server's gauge of python kernels."""
    return float(KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type="python3")._value.get())


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def delete(gateway: Any, kernel_id: str) -> int:
    return int((await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")).code)


async def pid_of(gateway: Any, kernel_id: str) -> int:
    return int(gateway.app.kernel_manager.get_kernel(kernel_id).pid)


async def test_204_means_that_the_process_and_its_files_are_gone(gateway: Any) -> None:
    before, kernel_id = running(), await gateway.start()
    pid = await pid_of(gateway, kernel_id)
    assert running() == before + 1
    assert await delete(gateway, kernel_id) == 204
    assert not lives(pid) and running() == before
    runtime = gateway.app.runtime_dir
    assert [name for name in os.listdir(runtime) if kernel_id in name] == []
    assert await delete(gateway, kernel_id) == 204, "again, and later"
    assert (await gateway.ask("GET", f"/api/kernels/{kernel_id}")).code == 404
    assert await delete(gateway, "1-2-3-4-5") == 404, "never known"
    assert running() == before


async def test_an_id_that_is_used_again_is_ended_again(gateway: Any) -> None:
    for _ in range(2):
        kernel_id = await gateway.start(kernel_id="1-2-3-4-5")
        pid = await pid_of(gateway, kernel_id)
        assert await delete(gateway, kernel_id) == 204
        assert not lives(pid)


async def test_a_storm_of_deletes(gateway: Any) -> None:
    before = running()
    ids = await asyncio.gather(*(gateway.start() for _ in range(4)))
    pids = [await pid_of(gateway, kernel_id) for kernel_id in ids]
    codes = await asyncio.gather(*(delete(gateway, kernel_id) for kernel_id in ids for _ in range(10)))
    assert set(codes) == {204} and running() == before
    assert not any(map(lives, pids))


async def test_while_it_starts(gateway: Any) -> None:
    kernel_id = await gateway.start()
    assert await delete(gateway, kernel_id) == 204


async def test_while_it_restarts(gateway: Any, monkeypatch: Any) -> None:
    supplies, begun = gateway.app.kernel_manager.supplies, asyncio.Event()
    real = supplies.plan

    async def plan(*args: Any) -> Any:
        begun.set()
        return await real(*args)

    kernel_id = await gateway.start()
    monkeypatch.setattr(supplies, "plan", plan)
    await gateway.run(kernel_id, "1")
    restart = asyncio.ensure_future(gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {}))
    await asyncio.wait_for(begun.wait(), 20)
    codes = await asyncio.gather(delete(gateway, kernel_id), delete(gateway, kernel_id))
    assert codes == [204, 204]
    assert (await restart).code in (200, 404, 503)
    assert gateway.app.kernel_manager.list_kernels() == []


async def test_while_a_restart_waits_for_cores(gateway: Any, monkeypatch: Any) -> None:
    waits = asyncio.Event()

    async def wait(*args: Any) -> None:
        waits.set()
        await asyncio.Event().wait()

    kernel_id = await gateway.start()
    monkeypatch.setattr(gateway.app.kernel_manager.supplies, "admit", wait)
    restart = asyncio.ensure_future(gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {}))
    await waits.wait()
    assert await asyncio.wait_for(delete(gateway, kernel_id), 20) == 204
    assert (await restart).code == 503 and gateway.app.kernel_manager.list_kernels() == []


async def test_after_the_process_died_by_itself(gateway: Any) -> None:
    kernel_id = await gateway.start()
    os.kill(await pid_of(gateway, kernel_id), signal.SIGKILL)
    assert await delete(gateway, kernel_id) == 204


async def test_a_stopped_process_is_killed(gateway: Any) -> None:
    kernel_id = await gateway.start()
    await gateway.run(kernel_id, "1")
    kernel = gateway.app.kernel_manager.get_kernel(kernel_id)
    kernel.shutdown_wait_time = 0.4
    os.kill(kernel.pid, signal.SIGSTOP)
    pid = kernel.pid
    assert await delete(gateway, kernel_id) == 204
    assert not lives(pid)


async def test_children_in_its_group_go_too(gateway: Any) -> None:
    kernel_id = await gateway.start()
    child = int(await gateway.run(kernel_id, "import subprocess; print(subprocess.Popen(['sleep', '600']).pid)"))
    assert lives(child)
    assert await delete(gateway, kernel_id) == 204
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


async def test_a_client_that_hangs_up_stops_no_stop(gateway: Any) -> None:
    kernel_id = await gateway.start()
    pid = await pid_of(gateway, kernel_id)
    manager = gateway.app.kernel_manager
    stop = asyncio.ensure_future(manager.shutdown_kernel(kernel_id))
    await ticks(1)
    assert kernel_id in manager.stops
    stop.cancel()
    assert await delete(gateway, kernel_id) == 204
    assert not lives(pid)


async def test_sessions_too(gateway: Any) -> None:
    body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    session = json.loads((await gateway.ask("POST", "/api/sessions", body)).body)
    path = f"/api/sessions/{session['id']}"
    answers = await asyncio.gather(*(gateway.ask("DELETE", path) for _ in range(3)))
    assert {answer.code for answer in answers} == {204}
    assert (await gateway.ask("DELETE", path)).code == 204
    assert (await gateway.ask("DELETE", "/api/sessions/1-2-3-4-5")).code == 404


class TestRefusedSignals:
    """The kernel runs as somebody else: the system refuses each signal."""

    @pytest.fixture
    def refused(self, monkeypatch: Any) -> Any:
        def refuse(*args: Any) -> None:
            raise PermissionError(139, "EDC5139I Operation not permitted.")

        with monkeypatch.context() as patch:
            patch.setattr("os.killpg", refuse)
            patch.setattr("subprocess.Popen.send_signal", refuse)
            patch.setattr("subprocess.Popen.kill", refuse)
            patch.setattr("subprocess.Popen.terminate", refuse)
            yield patch

    @pytest.mark.gen_test(timeout=60)
    async def test_the_kernel_is_asked_and_goes(self, gateway: Any, monkeypatch: Any) -> None:
        kernel_id = await gateway.start()
        await gateway.run(kernel_id, "1")
        pid = await pid_of(gateway, kernel_id)

        def refuse(group: int, signum: int) -> None:
            if lives(pid):
                raise PermissionError(139, "EDC5139I Operation not permitted.")
            raise ProcessLookupError

        monkeypatch.setattr("os.killpg", refuse)
        monkeypatch.setattr("subprocess.Popen.send_signal", lambda self, signum: refuse(0, signum))
        assert await delete(gateway, kernel_id) == 204
        assert not lives(pid)
        assert json.loads((await gateway.ask("GET", "/kg2at/status")).body)["zombies"] == []

    @pytest.mark.gen_test(timeout=60)
    async def test_what_lives_on_is_a_zombie_until_it_is_gone(self, gateway: Any, refused: Any) -> None:
        gateway.app.kernel_manager.timing = Timing(zombie_retry=0.05)
        before, kernel_id = running(), await gateway.start()
        kernel = gateway.app.kernel_manager.get_kernel(kernel_id)
        kernel.shutdown_wait_time = 0.2
        pid = kernel.pid
        # It can't hear the request to end either.
        os.kill(pid, signal.SIGSTOP)
        assert await delete(gateway, kernel_id) == 204
        assert json.loads((await gateway.ask("GET", "/api/kernels")).body) == [] and running() == before
        [zombie] = json.loads((await gateway.ask("GET", "/kg2at/status")).body)["zombies"]
        assert (zombie["kernel_id"], zombie["pid"]) == (kernel_id, pid) and zombie["reason"] and zombie["since"]
        assert lives(pid)
        refused.undo()
        await gateway.app.kernel_manager.zombies._task
        assert not lives(pid)

    @pytest.mark.gen_test(timeout=60)
    async def test_an_interrupt_that_is_refused_is_told(self, gateway: Any, refused: Any) -> None:
        kernel_id = await gateway.start()
        answer = await gateway.ask("POST", f"/api/kernels/{kernel_id}/interrupt", {})
        assert answer.code == 503 and "EDC5139I" in json.loads(answer.body)["message"]
        refused.undo()


async def test_one_that_fails_to_stop_keeps_no_other_from_it(gateway: Any, monkeypatch: Any) -> None:
    manager = gateway.app.kernel_manager
    ids = [await gateway.start() for _ in range(3)]
    pids = [await pid_of(gateway, kernel_id) for kernel_id in ids]

    async def fail(now: bool) -> bool:
        raise RuntimeError("on purpose")

    termination = manager.get_kernel(ids[0]).termination
    end = termination.shut_down
    monkeypatch.setattr(termination, "shut_down", fail)
    await manager.shutdown_all_kernels()
    assert not any(map(lives, pids[1:])) and manager.list_kernels() == []
    assert await end() and not lives(pids[0])
