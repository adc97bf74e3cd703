"""What a notebook sends before its websocket hears its kernel is sent later, and loses no output."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.notebook import configure, opened, opened_by, printed, relay_of
from tests.fakes.ports import steal_a_port
from tests.fakes.toree import Gate, slowly
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)


class TestWhenAWebsocketOpens:
    async def test_a_notebook_sees_none_of_the_questions_by_which_its_kernel_is_heard(self, gateway: Any) -> None:
        """The notebook of a busy kernel would take it for idle."""
        kernel_id = await gateway.start()
        async with opened(gateway, kernel_id, "s1") as one, opened(gateway, kernel_id, "s2") as two:
            for notebook in (one, two):
                cell, seen = notebook.execute("print(1)"), list[Any]()
                while not seen or seen[-1]["parent_header"].get("msg_id") != cell:
                    seen.append(await notebook.receive())
                assert "kernel_info_request" not in [each["parent_header"].get("msg_type") for each in seen]

    async def test_a_cell_sent_to_a_busy_kernel_before_it_is_heard(
        self, gateway: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """The kernel is through with the last cell before the socket that listens to it has found it."""
        kernel_id = await gateway.start()
        kernel = gateway.app.kernel_manager.get_kernel(kernel_id)
        latch, connect, late = Gate(tmp_path / "latch"), kernel.connect_iopub, []

        def connect_late(**more: Any) -> Any:
            late.append(connect(**more))
            late[-1].socket.disconnect(late[-1].socket.LAST_ENDPOINT)
            return late[-1]

        async with opened(gateway, kernel_id, "s1") as other:
            await other.run("print(1)")
            other.execute(f"x = open({str(latch.path)!r}).read()")
            await until(lambda: kernel.execution_state == "busy", "the cell")
            monkeypatch.setattr(kernel, "connect_iopub", connect_late)
            async with opened(gateway, kernel_id, "s2") as notebook:
                cell = notebook.execute(f"print('heard'); open({str(tmp_path / 'ran')!r}, 'w')")
                await until(lambda: opened_by(kernel_id, "s2"), "the connection")
                latch.open()
                await until(
                    lambda: kernel.execution_state == "idle" and relay_of(kernel_id, "s2").restart_buffer.kept, "it"
                )
                assert not (tmp_path / "ran").exists()
                late[-1].socket.connect(kernel._make_url("iopub"))
                assert printed(await notebook.until("idle", cell)) == "heard\n"


class TestRestart:
    """The sockets of an open websocket find the new process one by one, and what they miss is lost."""

    @pytest.fixture
    def kernel(self, io_loop: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        """A python kernel; who listens to it finds it again a second after its sockets for requests do."""
        kernel = gateway.app.kernel_manager.get_kernel(io_loop.run_sync(gateway.start))
        connect = kernel.connect_iopub

        monkeypatch.setattr(kernel, "connect_iopub", lambda **more: slowly(connect(**more)))
        return kernel

    @staticmethod
    async def restart(gateway: Any, kernel: Any) -> None:
        answer = await gateway.ask("POST", f"/api/kernels/{kernel.kernel_id}/restart", {})
        assert answer.code == 200, answer.body

    async def test_cells_sent_right_after_it_lose_nothing(self, gateway: Any, kernel: Any) -> None:
        async with opened(gateway, kernel.kernel_id, "s1") as one, opened(gateway, kernel.kernel_id, "s2") as two:
            for notebook in (one, two):
                assert await notebook.run("print('before')") == "before\n"
            await self.restart(gateway, kernel)
            cells = [notebook.execute(f"print({number})") for number in range(3) for notebook in (one, two)]
            for number, (notebook, cell) in enumerate(zip((one, two) * 3, cells, strict=True)):
                said = await notebook.until("idle", cell)
                assert "".join(each["content"].get("text", "") for each in said) == f"{number // 2}\n"

    async def test_cells_sent_while_it_restarts_by_itself_lose_nothing(self, gateway: Any, kernel: Any) -> None:
        async with opened(gateway, kernel.kernel_id) as notebook:
            assert await notebook.run("print('before')") == "before\n"
            os.kill(kernel.pid, signal.SIGKILL)
            while (await notebook.receive())["content"].get("execution_state") != "restarting":
                pass
            assert await notebook.run("print('after')") == "after\n"

    async def test_one_on_other_ports(self, gateway: Any, kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Somebody took a port while nobody had it."""
        async with opened(gateway, kernel.kernel_id) as notebook:
            assert await notebook.run("print('before')") == "before\n"
            ports, thieves = kernel.ports, steal_a_port(monkeypatch)
            await self.restart(gateway, kernel)
            assert await notebook.run("print('after')") == "after\n"
            assert kernel.ports != ports
        thieves[0].close()

    async def test_one_that_fails(self, gateway: Any, kernel: Any, tmp_path: Path) -> None:
        """The notebook is told; what it sent meanwhile is lost, and runs in no later kernel."""
        async with opened(gateway, kernel.kernel_id) as notebook:
            assert await notebook.run("print('before')") == "before\n"
            command = kernel.kernel_spec.argv
            kernel.kernel_spec.argv = ["sh", "-c", "sleep 0.5"]
            await self.restart(gateway, kernel)
            notebook.execute(f"open({str(tmp_path / 'ran')!r}, 'w')")
            while (await notebook.receive())["content"].get("execution_state") != "dead":
                pass
            kernel.kernel_spec.argv = command
            await self.restart(gateway, kernel)
            assert await notebook.run("print('after')") == "after\n"
            assert not (tmp_path / "ran").exists()

    async def test_again_before_the_first_is_through(self, gateway: Any, kernel: Any) -> None:
        async with opened(gateway, kernel.kernel_id) as notebook:
            assert await notebook.run("print('before')") == "before\n"
            for _ in range(2):
                await self.restart(gateway, kernel)
            await kernel.answered()
            await self.restart(gateway, kernel)
            assert await notebook.run("print('after')") == "after\n"

    async def test_what_was_sent_is_run_though_its_notebook_goes(
        self, gateway: Any, kernel: Any, tmp_path: Path
    ) -> None:
        async with opened(gateway, kernel.kernel_id) as notebook:
            assert await notebook.run("print('before')") == "before\n"
            await self.restart(gateway, kernel)
            notebook.execute(f"open({str(tmp_path / 'ran')!r}, 'w')")
            await until(lambda: relay_of(kernel.kernel_id).restart_buffer.kept, "the cell")
        await until((tmp_path / "ran").exists, "the cell's effect")

    async def test_a_kernel_that_is_never_heard(self, gateway: Any, kernel: Any) -> None:
        configure(gateway, iopub_check_timeout=0.1)
        async with opened(gateway, kernel.kernel_id) as notebook:
            assert await notebook.run("print('before')") == "before\n"
            await self.restart(gateway, kernel)
            await notebook.until("execute_reply", notebook.execute("print('lost')"))

    async def test_a_notebook_that_goes_meanwhile(self, gateway: Any, kernel: Any) -> None:
        async with opened(gateway, kernel.kernel_id) as notebook:
            assert await notebook.run("print('before')") == "before\n"
            await self.restart(gateway, kernel)
            notebook.execute("print('nobody hears')")
        await until(lambda: not opened_by(kernel.kernel_id), "the end of the connection")
        async with opened(gateway, kernel.kernel_id) as notebook:
            assert await notebook.run("print('after')") == "after\n"
