"""Websockets to kernels that start slowly, that a client drops, and that finish a cell in the wrong order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from tornado.httpclient import HTTPClientError
from tornado.websocket import WebSocketClientConnection, websocket_connect

from kg2at_personality.web import restart_buffer
from kg2at_personality.web.channels import ChannelsConnection
from kg2at_personality.web.notebook import V1
from tests.fakes.toree import QUICK, FakeSpark, Gate, slowly, start, steal_a_port, until

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


def url(gateway: Any, kernel_id: str, session: str) -> str:
    return f"{gateway.base_url.replace('http', 'ws')}/api/kernels/{kernel_id}/channels?session_id={session}"


class Notebook:
    """A websocket, as JupyterLab uses it."""

    def __init__(self, socket: WebSocketClientConnection, session: str) -> None:
        self.socket, self.session = socket, session

    def execute(self, code: str) -> str:
        """Send a cell; its message id."""
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": self.session, "username": ""}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": {"code": code}, "channel": "shell"}
        self.socket.write_message(json.dumps(message))
        return header["msg_id"]

    async def receive(self) -> dict[str, Any]:
        """The next message."""
        message = await asyncio.wait_for(self.socket.read_message(), 20)
        assert message is not None, "the gateway closed the websocket"
        return dict(json.loads(message))

    async def until(self, msg_type: str, msg_id: str) -> list[dict[str, Any]]:
        """The messages that answer `msg_id`, up to the first of `msg_type` (`idle` for that status)."""
        found: list[dict[str, Any]] = []
        while not found or msg_type not in (found[-1]["msg_type"], found[-1]["content"].get("execution_state")):
            message = await self.receive()
            if message["parent_header"].get("msg_id") == msg_id:
                found.append(message)
        return found

    async def run(self, code: str) -> str:
        """What a cell prints; waits for its reply and its idle status."""
        msg_id = self.execute(code)
        found = await self.until("idle", msg_id)
        if not any(message["msg_type"] == "execute_reply" for message in found):
            await self.until("execute_reply", msg_id)
        return "".join(message["content"].get("text", "") for message in found)


@asynccontextmanager
async def opened(gateway: Any, kernel_id: str, session: str = "s1") -> AsyncIterator[Notebook]:
    socket = await websocket_connect(url(gateway, kernel_id, session))
    try:
        yield Notebook(socket, session)
    finally:
        socket.close()


def waiting(kernel_id: str, session: str = "s1") -> Any:
    """The handler that is the newest of its session."""
    return ChannelsConnection._open_sessions.get(f"{kernel_id}:{session}")


def connections(gateway: Any, kernel_id: str) -> int:
    return int(gateway.app.kernel_manager.kernel_model(kernel_id)["connections"])


@pytest.fixture
def gate(spark: FakeSpark) -> Gate:
    return spark.gate()


class TestWhileTheKernelStarts:
    async def test_only_the_newest_of_a_session_goes_on(self, gateway: Any, gate: Gate) -> None:
        kernel_id, _ = await start(gateway)
        requests, handlers = [], []
        for _ in range(3):
            requests.append(asyncio.ensure_future(websocket_connect(url(gateway, kernel_id, "s1"))))
            await until(lambda: waiting(kernel_id) not in [None, *handlers], "the request")
            handlers.append(waiting(kernel_id))
        gate.open()
        for replaced in requests[:2]:
            with pytest.raises(HTTPClientError) as refused:
                await replaced
            assert refused.value.code == 409
            assert json.loads(refused.value.response.body) == {
                "reason": "Replaced by a newer connection",
                "message": "A newer connection of the same session took this one's place.",
            }
        notebook = Notebook(await requests[2], "s1")
        assert [await notebook.run(f"print({number})") for number in range(3)] == ["0\n", "1\n", "2\n"]
        assert connections(gateway, kernel_id) == 1 and waiting(kernel_id) is handlers[2]
        notebook.socket.close()
        await until(lambda: connections(gateway, kernel_id) == 0, "the end of the connection")
        assert waiting(kernel_id) is None

    async def test_a_request_that_its_client_dropped_is_no_connection(self, gateway: Any, gate: Gate) -> None:
        """JupyterLab opens the websocket, drops it and opens it again within 60 ms."""
        kernel_id, kernel = await start(gateway)
        host, port = gateway.base_url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        upgrade = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        lines = [f"{name}: {value}" for name, value in (upgrade | {"Sec-WebSocket-Key": "A" * 22 + "=="}).items()]
        path = url(gateway, kernel_id, "s1").partition(port)[2]
        writer.write("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode())
        await until(lambda: waiting(kernel_id), "the request")
        dropped = waiting(kernel_id)
        writer.close()
        second = asyncio.ensure_future(websocket_connect(url(gateway, kernel_id, "s1")))
        await until(lambda: waiting(kernel_id) is not dropped, "the second request")
        gate.open()
        notebook = Notebook(await second, "s1")
        assert await notebook.run("print(6 * 7)") == "42\n"
        assert connections(gateway, kernel_id) == 1
        notebook.socket.close()
        await until(lambda: connections(gateway, kernel_id) == 0, "the end of the connection")
        assert kernel.has_answered

    async def test_other_sessions_go_on(self, gateway: Any, gate: Gate) -> None:
        kernel_id, _ = await start(gateway)
        requests = [asyncio.ensure_future(websocket_connect(url(gateway, kernel_id, name))) for name in ("s1", "s2")]
        await until(lambda: waiting(kernel_id, "s1") and waiting(kernel_id, "s2"), "both requests")
        gate.open()
        notebooks = [Notebook(await request, name) for request, name in zip(requests, ("s1", "s2"), strict=True)]
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
        assert waiting(kernel_id) is None and connections(gateway, kernel_id) == 0

    async def test_an_unknown_kernel(self, gateway: Any) -> None:
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(url(gateway, "1-2-3-4-5", "s1"))
        assert refused.value.code == 404


class TestLater:
    async def test_a_second_websocket_of_an_open_session_takes_over(self, gateway: Any) -> None:
        kernel_id, _ = await start(gateway)
        async with opened(gateway, kernel_id) as first:
            assert await first.run("print(1)") == "1\n"
            async with opened(gateway, kernel_id) as second:
                while await first.socket.read_message() is not None:
                    pass
                assert await second.run("print(2)") == "2\n"
                assert connections(gateway, kernel_id) == 1

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
            await until(lambda: waiting(kernel.kernel_id).connection._restarts.kept, "the cell")
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
        await until(lambda: not waiting(kernel.kernel_id), "the end of the connection")
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
            yield notebook, waiting(kernel_id).connection

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
        await until(lambda: not waiting(kernel_id), "the end of the connection")
        assert connections(gateway, kernel_id) == 0


class TestOutgoing:
    """What goes from a kernel to its notebook."""

    async def test_no_message_waits_for_tcp(self, gateway: Any) -> None:
        kernel_id = await gateway.start()
        async with opened(gateway, kernel_id):
            stream = waiting(kernel_id).ws_connection.stream
            assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    @pytest.mark.parametrize("protocols", [None, [V1]])
    async def test_an_error_of_a_toree_without_a_message(self, gateway: Any, protocols: list[str] | None) -> None:
        kernel_id, kernel = await start(gateway)
        client = await websocket_connect(url(gateway, kernel_id, "s1"), subprotocols=protocols)
        await until(lambda: waiting(kernel_id).connection._outgoing._is_open, "the connection")
        error = {"ename": "java.lang.Exception", "evalue": None, "traceback": ["java.lang.Exception"]}
        TestIdleGrace.send(kernel, waiting(kernel_id).connection, "a", "error", **error)
        right = {"msg_type": "error", "parent": "a", "content": error | {"evalue": ""}}
        while (seen := read(await client.read_message(), protocols)) != right:
            assert seen["msg_type"] != "error", seen
        client.close()

    async def test_a_wrong_signature_is_not_made_right(self, gateway: Any, caplog: pytest.LogCaptureFixture) -> None:
        kernel_id, kernel = await start(gateway)
        async with opened(gateway, kernel_id) as notebook:
            assert await notebook.run("print(1)") == "1\n"
            connection = waiting(kernel_id).connection
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
            waiting(kernel_id).connection.iopub_msg_rate_limit = 1
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
