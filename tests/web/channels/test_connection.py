"""Websockets to kernels that start slowly, that a client drops, and that finish a cell in the wrong order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from tornado.httpclient import HTTPClientError
from tornado.websocket import websocket_connect

from kg2at_personality.web.channels import restart_buffer, session_websockets
from kg2at_personality.web.channels.connection import ChannelsConnection
from kg2at_personality.web.channels.notebook import V1
from tests.fakes.notebook import Notebook, connections, has_ended, opened, opened_by, printed, url
from tests.fakes.ports import steal_a_port
from tests.fakes.toree import QUICK, FakeSpark, Gate, slowly, start
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)


@pytest.fixture
def spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpark]:
    with FakeSpark(tmp_path).enter(monkeypatch) as fake:
        yield fake


@pytest.fixture
def environ(spark: FakeSpark) -> Path:
    return spark.conf


@pytest.fixture
def settings() -> dict[str, Any]:
    return QUICK


@pytest.fixture
def gate(spark: FakeSpark) -> Gate:
    return spark.gate()


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[ChannelsConnection]:
    """The connections of websockets that wait, or waited, for their kernel."""
    seen: list[ChannelsConnection] = []
    answered = ChannelsConnection._kernel_answered

    async def wait(connection: ChannelsConnection) -> None:
        seen.append(connection)
        await answered(connection)

    monkeypatch.setattr(ChannelsConnection, "_kernel_answered", wait)
    return seen


class TestWhileTheKernelStarts:
    @staticmethod
    async def several(gateway: Any, requests: list[Any], kernel_id: str, count: int) -> list[Any]:
        """Requests for websockets of one session, in this order."""
        futures = []
        for number in range(count):
            futures.append(asyncio.ensure_future(websocket_connect(url(gateway, kernel_id, "s1"))))
            await until(lambda number=number: len(requests) > number, "the request")
        return futures

    @pytest.mark.parametrize("speaker", [0, 1, 2])
    async def test_of_one_session_the_first_that_sends_goes_on(
        self, gateway: Any, gate: Gate, requests: list[Any], speaker: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The order of their arrival tells nothing: jupyter_server hands two on within 1 ms, in any order."""
        monkeypatch.setattr(session_websockets, "SILENT", 0.3)
        kernel_id, _ = await start(gateway)
        futures = await self.several(gateway, requests, kernel_id, 3)
        gate.open()
        notebooks = [Notebook(await future, "s1") for future in futures]
        await until(lambda: connections(gateway, kernel_id) == 3, "three connections")
        living = notebooks.pop(speaker)
        assert [await living.run(f"print({number})") for number in range(3)] == ["0\n", "1\n", "2\n"]
        for other in notebooks:
            while await asyncio.wait_for(other.socket.read_message(), 20) is not None:
                pass
        await until(lambda: connections(gateway, kernel_id) == 1, "one connection")
        assert await living.run("print(3)") == "3\n" and connections(gateway, kernel_id) == 1
        living.socket.close()
        await until(lambda: connections(gateway, kernel_id) == 0, "the end of the connection")
        assert opened_by(kernel_id) == []

    async def test_what_two_of_a_session_send_at_the_same_time_is_run(
        self, gateway: Any, gate: Gate, requests: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(session_websockets, "SILENT", 1000)
        kernel_id, _ = await start(gateway)
        futures = await self.several(gateway, requests, kernel_id, 2)
        gate.open()
        notebooks = [Notebook(await future, "s1") for future in futures]
        cells = [notebook.execute(f"print({number})") for number, notebook in enumerate(notebooks)]
        for notebook in notebooks:
            said: dict[str, list[dict[str, Any]]] = {cell: [] for cell in cells}
            while not all(has_ended(each) for each in said.values()):
                message = await notebook.receive()
                said.get(message["parent_header"].get("msg_id", ""), []).append(message)
            assert [printed(each) for each in said.values()] == ["0\n", "1\n"]
            notebook.socket.close()
        await until(lambda: connections(gateway, kernel_id) == 0, "the end of both")

    async def test_what_one_sent_before_it_was_closed_is_answered_to_the_other(
        self, gateway: Any, gate: Gate, requests: list[Any], tmp_path: Path
    ) -> None:
        """It sends and goes; the kernel's reply comes later, to a session that goes on."""
        kernel_id, _ = await start(gateway)
        futures = await self.several(gateway, requests, kernel_id, 2)
        gate.open()
        goes, stays = [Notebook(await future, "s1") for future in futures]
        latch = Gate(tmp_path / "latch")
        cell = goes.execute(f"x = open({str(latch.path)!r}).read(); print('all of it')")
        await goes.until("execute_input", cell)
        goes.socket.close()
        await until(lambda: connections(gateway, kernel_id) == 1, "its end")
        latch.open()
        said = await stays.until("execute_reply", cell)
        if not any(each["content"].get("execution_state") == "idle" for each in said):
            said += await stays.until("idle", cell)
        assert printed(said) == "all of it\n"
        stays.socket.close()

    async def test_one_that_goes_while_the_other_waits_leaves_it_what_the_kernel_says(
        self, gateway: Any, tmp_path: Path
    ) -> None:
        kernel_id, _ = await start(gateway)
        latch = Gate(tmp_path / "latch")
        async with opened(gateway, kernel_id) as first:
            cell = first.execute(f"x = open({str(latch.path)!r}).read(); print('all of it')")
            await first.until("execute_input", cell)
            async with opened(gateway, kernel_id):
                await until(lambda: connections(gateway, kernel_id) == 2, "both")
                first.socket.close()
                await until(lambda: connections(gateway, kernel_id) == 1, "the first's end")
            await until(lambda: connections(gateway, kernel_id) == 0, "the second's end")
        latch.open()
        async with opened(gateway, kernel_id) as third:
            assert printed(await third.until("idle", cell)) == "all of it\n"

    async def test_a_request_that_its_client_dropped_is_no_connection(
        self, gateway: Any, gate: Gate, requests: list[Any]
    ) -> None:
        """JupyterLab opens the websocket, drops it and opens it again within 60 ms."""
        kernel_id, kernel = await start(gateway)
        writer = await self.ask_raw(gateway, kernel_id, "s1")
        await until(lambda: requests, "the request")
        writer.close()
        second = asyncio.ensure_future(websocket_connect(url(gateway, kernel_id, "s1")))
        await until(lambda: len(requests) == 2, "the second request")
        gate.open()
        notebook = Notebook(await second, "s1")
        assert await notebook.run("print(6 * 7)") == "42\n"
        assert connections(gateway, kernel_id) == 1
        notebook.socket.close()
        await until(lambda: connections(gateway, kernel_id) == 0, "the end of the connection")
        assert kernel.has_answered

    @staticmethod
    async def ask_raw(gateway: Any, kernel_id: str, session: str, **headers: str) -> asyncio.StreamWriter:
        """Ask for a websocket, and don't wait for the answer."""
        host, port = gateway.base_url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        upgrade = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        upgrade |= {"Sec-WebSocket-Key": "A" * 22 + "=="} | headers
        path = url(gateway, kernel_id, session).partition(port)[2]
        lines = [f"{name}: {value}" for name, value in upgrade.items()]
        writer.write("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode())
        return writer

    async def test_a_request_that_is_none_for_a_websocket_takes_no_socket(self, gateway: Any) -> None:
        kernel_id = await gateway.start()
        kernel = gateway.app.kernel_manager.get_kernel(kernel_id)
        await kernel.answered()
        context = gateway.app.kernel_manager.context
        before = len(context._sockets)
        path = f"/api/kernels/{kernel_id}/channels?session_id=s1"
        assert (await gateway.ask("GET", path)).code == 400
        foreign = {"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "http://elsewhere.example"}
        answer = await gateway.ask(
            "GET", path, **foreign, Sec_WebSocket_Version="13", Sec_WebSocket_Key="A" * 22 + "=="
        )
        assert answer.code == 403
        assert len(context._sockets) == before and connections(gateway, kernel_id) == 0

    async def test_other_sessions_go_on(self, gateway: Any, gate: Gate, requests: list[Any]) -> None:
        kernel_id, _ = await start(gateway)
        futures = [asyncio.ensure_future(websocket_connect(url(gateway, kernel_id, name))) for name in ("s1", "s2")]
        await until(lambda: len(requests) == 2, "both requests")
        gate.open()
        notebooks = [Notebook(await future, name) for future, name in zip(futures, ("s1", "s2"), strict=True)]
        for notebook in notebooks:
            assert await notebook.run(f"print({notebook.session!r})") == f"{notebook.session}\n"
        assert connections(gateway, kernel_id) == 2
        for left, notebook in ((1, notebooks[0]), (0, notebooks[1])):
            notebook.socket.close()
            await until(lambda left=left: connections(gateway, kernel_id) == left, f"{left} connections")

    async def test_a_silent_kernel(self, gateway: Any, gate: Gate) -> None:
        kernel_id, _ = await start(gateway)
        gateway.app.kernel_manager.kernel_info_timeout = 0.1
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(url(gateway, kernel_id, "s1"))
        assert refused.value.code == 503 and b"has not answered for 0.1 s" in refused.value.response.body
        assert opened_by(kernel_id) == [] and connections(gateway, kernel_id) == 0

    async def test_an_unknown_kernel(self, gateway: Any) -> None:
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(url(gateway, "1-2-3-4-5", "s1"))
        assert refused.value.code == 404


class TestLater:
    async def test_a_second_websocket_of_an_open_session_takes_over(
        self, gateway: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """JupyterLab wakes up and connects again; what it had before is open still."""
        monkeypatch.setattr(session_websockets, "SILENT", 0.3)
        kernel_id, _ = await start(gateway)
        async with opened(gateway, kernel_id) as first:
            assert await first.run("print(1)") == "1\n"
            async with opened(gateway, kernel_id) as second:
                assert await second.run("print(2)") == "2\n"
                while await asyncio.wait_for(first.socket.read_message(), 20) is not None:
                    pass
                assert await second.run("print(3)") == "3\n"
                await until(lambda: connections(gateway, kernel_id) == 1, "the first's end")

    async def test_the_reply_to_the_old_websocket_goes_to_the_new_one(self, gateway: Any, tmp_path: Path) -> None:
        """A cell runs while its notebook loses its connection and makes another."""
        kernel_id, _ = await start(gateway)
        latch = Gate(tmp_path / "latch")
        async with opened(gateway, kernel_id) as first, opened(gateway, kernel_id) as second:
            cell = first.execute(f"x = open({str(latch.path)!r}).read()")
            await first.until("execute_input", cell)
            first.socket.close()
            await until(lambda: connections(gateway, kernel_id) == 1, "the first's end")
            latch.open()
            await second.until("execute_reply", cell)

    async def test_what_was_on_its_way_when_the_gateway_closed_the_websocket_is_run(
        self, gateway: Any, tmp_path: Path
    ) -> None:
        kernel_id = await gateway.start()
        async with opened(gateway, kernel_id) as first, opened(gateway, kernel_id) as second:
            await first.run("print(1)")
            await until(lambda: connections(gateway, kernel_id) == 2, "both")
            opened_by(kernel_id)[-1].end()
            cell = first.execute(f"open({str(tmp_path / 'ran')!r}, 'w')")
            await second.until("execute_reply", cell)
            assert (tmp_path / "ran").exists()

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
                    lambda: kernel.execution_state == "idle" and opened_by(kernel_id, "s2")[0]._restarts.kept, "it"
                )
                assert not (tmp_path / "ran").exists()
                late[-1].socket.connect(kernel._make_url("iopub"))
                assert printed(await notebook.until("idle", cell)) == "heard\n"

    async def test_what_the_kernel_says_meanwhile_waits_for_its_notebook(
        self, gateway: Any, spark: FakeSpark, tmp_path: Path
    ) -> None:
        kernel_id, _ = await start(gateway)
        latch = Gate(tmp_path / "latch")
        async with opened(gateway, kernel_id) as notebook:
            msg_id = notebook.execute(f"x = open({str(latch.path)!r}).read(); print('meanwhile')")
            await notebook.until("execute_input", msg_id)
        await until(lambda: connections(gateway, kernel_id) == 0, "the end of the connection")
        buffered = gateway.app.kernel_manager._kernel_buffers[kernel_id]["buffer"]
        latch.open()
        await until(lambda: b"execution_state" in repr([*buffered]).encode() and len(buffered) >= 3, "the output")
        async with opened(gateway, kernel_id) as notebook:
            assert "meanwhile\n" in [message["content"].get("text") for message in await notebook.until("idle", msg_id)]
            assert await notebook.run("print('goes on')") == "goes on\n"


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
            await until(lambda: opened_by(kernel.kernel_id)[0]._restarts.kept, "the cell")
        await until((tmp_path / "ran").exists, "the cell's effect")

    async def test_a_kernel_that_is_never_heard(
        self, gateway: Any, kernel: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(restart_buffer, "UNHEARD", 0.1)
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


class TestOwnCells:
    async def test_a_notebook_sees_none_of_what_the_gateway_asks_its_kernel(
        self, gateway: Any, spark: FakeSpark
    ) -> None:
        """A new process learns its interrupts by a cell."""
        kernel_id, kernel = await start(gateway)
        async with opened(gateway, kernel_id) as notebook:
            assert await notebook.run("print('before')") == "before\n"
            assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})).code == 200
            await kernel.answered()
            last, messages = notebook.execute("print('after')"), []
            while not messages or messages[-1]["parent_header"].get("msg_id") != last:
                messages.append(await notebook.receive())
            assert spark.learned(kernel_id) == 2
            assert "execute_request" not in [message["parent_header"].get("msg_type") for message in messages[:-1]]


class TestIdleGrace:
    """A Toree's idle status can overtake its result, and a notebook drops what comes after idle."""

    @staticmethod
    def send(kernel: Any, connection: Any, parent: str, msg_type: str, **content: Any) -> None:
        """A message from the kernel, as ZeroMQ hands it over. `parent` is the id of a cell."""
        header = {"msg_id": parent, "msg_type": "execute_request", "session": "s1", "date": "2026-01-01T00:00:00Z"}
        if parent.startswith("info"):
            header["msg_type"] = "kernel_info_request"
        session = kernel.session.clone()
        parts = session.serialize(session.msg(msg_type, content, parent=header), ident=b"topic")
        connection.handle_outgoing_message(connection.channels["iopub"], parts)

    @asynccontextmanager
    async def connected(self, gateway: Any, kernel_id: str) -> AsyncIterator[tuple[Notebook, Any]]:
        async with opened(gateway, kernel_id) as notebook:
            assert await notebook.run("print(1)") == "1\n"
            yield notebook, opened_by(kernel_id)[0]

    async def received(self, notebook: Notebook, count: int) -> list[tuple[str, str]]:
        """(parent, message type or execution state) of the next messages."""
        messages = [await notebook.receive() for _ in range(count)]
        return [
            (message["parent_header"]["msg_id"], message["content"].get("execution_state", message["msg_type"]))
            for message in messages
        ]

    async def test_a_result_that_comes_late_comes_before_idle(self, gateway: Any) -> None:
        kernel_id, kernel = await start(gateway)
        async with self.connected(gateway, kernel_id) as (notebook, connection):
            self.send(kernel, connection, "a", "status", execution_state="idle")
            self.send(kernel, connection, "a", "execute_result", data={}, metadata={}, execution_count=1)
            assert await self.received(notebook, 2) == [("a", "execute_result"), ("a", "idle")]

    async def test_idle_alone_comes_after_the_grace(self, gateway: Any) -> None:
        kernel_id, kernel = await start(gateway)
        async with self.connected(gateway, kernel_id) as (notebook, connection):
            self.send(kernel, connection, "a", "status", execution_state="idle")
            assert connection._toree.holds
            assert await self.received(notebook, 1) == [("a", "idle")]
            assert not connection._toree.holds

    async def test_the_next_cell_does_not_overtake_it(self, gateway: Any) -> None:
        kernel_id, kernel = await start(gateway)
        async with self.connected(gateway, kernel_id) as (notebook, connection):
            for parent in ("a", "b"):
                self.send(kernel, connection, parent, "status", execution_state="busy")
                self.send(kernel, connection, parent, "status", execution_state="idle")
            assert await self.received(notebook, 4) == [("a", "busy"), ("a", "idle"), ("b", "busy"), ("b", "idle")]

    async def test_what_is_no_cell_is_not_held(self, gateway: Any) -> None:
        kernel_id, kernel = await start(gateway)
        async with self.connected(gateway, kernel_id) as (notebook, connection):
            self.send(kernel, connection, "info", "status", execution_state="idle")
            assert not connection._toree.holds and await self.received(notebook, 1) == [("info", "idle")]

    async def test_what_a_cell_prints_is_no_status(self, gateway: Any) -> None:
        kernel_id, kernel = await start(gateway)
        async with self.connected(gateway, kernel_id) as (notebook, connection):
            self.send(kernel, connection, "a", "stream", name="stdout", text='{"execution_state":"idle"}')
            assert not connection._toree.holds and await self.received(notebook, 1) == [("a", "stream")]

    async def test_other_kernels_are_left_alone(self, gateway: Any) -> None:
        kernel_id = await gateway.start()
        kernel = gateway.app.kernel_manager.get_kernel(kernel_id)
        async with self.connected(gateway, kernel_id) as (notebook, connection):
            self.send(kernel, connection, "a", "status", execution_state="idle")
            assert connection._toree is None and await self.received(notebook, 1) == [("a", "idle")]

    async def test_what_is_held_when_the_notebook_goes_waits_for_it(self, gateway: Any) -> None:
        kernel_id, kernel = await start(gateway)
        async with self.connected(gateway, kernel_id) as (notebook, connection):
            self.send(kernel, connection, "a", "status", execution_state="idle")
            connection.disconnect()
            assert not connection._toree.holds and connections(gateway, kernel_id) == 0
        async with opened(gateway, kernel_id) as notebook:
            assert [message["msg_type"] for message in await notebook.until("idle", "a")] == ["status"]

    async def test_a_websocket_that_closes_twice_counts_once(self, gateway: Any) -> None:
        kernel_id, _ = await start(gateway)
        async with self.connected(gateway, kernel_id) as (_, connection):
            for _ in range(2):
                connection.disconnect()
        await until(lambda: not opened_by(kernel_id), "the end of the connection")
        assert connections(gateway, kernel_id) == 0


class TestOutgoing:
    """What goes from a kernel to its notebook."""

    async def test_no_message_waits_for_tcp(self, gateway: Any) -> None:
        kernel_id = await gateway.start()
        async with opened(gateway, kernel_id):
            stream = opened_by(kernel_id)[0].websocket_handler.ws_connection.stream
            assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    @pytest.mark.parametrize("protocols", [None, [V1]])
    async def test_an_error_of_a_toree_without_a_message(self, gateway: Any, protocols: list[str] | None) -> None:
        kernel_id, kernel = await start(gateway)
        client = await websocket_connect(url(gateway, kernel_id, "s1"), subprotocols=protocols)
        await until(lambda: opened_by(kernel_id) and opened_by(kernel_id)[0]._outgoing._is_open, "the connection")
        error = {"ename": "java.lang.Exception", "evalue": None, "traceback": ["java.lang.Exception"]}
        TestIdleGrace.send(kernel, opened_by(kernel_id)[0], "a", "error", **error)
        right = {"msg_type": "error", "parent": "a", "content": error | {"evalue": ""}}
        while (seen := read(await client.read_message(), protocols)) != right:
            assert seen["msg_type"] != "error", seen
        client.close()

    async def test_a_wrong_signature_is_not_made_right(self, gateway: Any, caplog: pytest.LogCaptureFixture) -> None:
        kernel_id, kernel = await start(gateway)
        async with opened(gateway, kernel_id) as notebook:
            assert await notebook.run("print(1)") == "1\n"
            connection = opened_by(kernel_id)[0]
            key, kernel.session.key = kernel.session.key, b"wrong"
            TestIdleGrace.send(kernel, connection, "a", "error", ename="E", evalue=None, traceback=[])
            kernel.session.key = key
            TestIdleGrace.send(kernel, connection, "a", "stream", name="stdout", text="right")
            assert (await notebook.receive())["content"]["text"] == "right"
        [line] = [each.getMessage() for each in caplog.records if "malformed" in each.getMessage()]
        assert kernel_id in line and "signature" in line

    async def test_limits_and_hidden_tracebacks_work_as_ever(self, gateway: Any) -> None:
        kernel_id = await gateway.start()
        async with opened(gateway, kernel_id) as notebook:
            await notebook.run("print(1)")
            opened_by(kernel_id)[0].iopub_msg_rate_limit = 1
            said = await notebook.until("idle", notebook.execute("for n in range(9): display(n)"))
            assert "IOPub message rate exceeded" in str(said) and sum(m["msg_type"] == "display_data" for m in said) < 9
            gateway.app.kernel_manager.allow_tracebacks = False
            said = await notebook.until("idle", notebook.execute("1 / 0"))
            [error] = [message["content"] for message in said if message["msg_type"] == "error"]
            assert error["evalue"] == "Execution error" and "ZeroDivisionError" not in str(error)


def read(message: Any, protocols: list[str] | None) -> dict[str, Any]:
    """What counts of a message of either protocol."""
    if not protocols:
        made = json.loads(message)
        header, parent, content = made["header"], made["parent_header"], made["content"]
    else:
        header, parent, _, content = map(json.loads, deserialize_msg_from_ws_v1(message)[1])
    return {"msg_type": header["msg_type"], "parent": parent.get("msg_id"), "content": content}
