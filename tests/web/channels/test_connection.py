"""Websockets to kernels that start slowly, and websockets that a client drops and opens again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError
from tornado.websocket import websocket_connect

from kg2at_personality.web.channels.connection import ChannelsConnection
from tests.fakes.notebook import Notebook, configure, connections, has_ended, opened, opened_by, printed, url
from tests.fakes.toree import FakeSpark, Gate, start
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)


@pytest.fixture
def gate(spark: FakeSpark) -> Gate:
    return spark.gate()


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[ChannelsConnection]:
    """The connections of websockets that wait, or waited, for their kernel."""
    seen: list[ChannelsConnection] = []
    prepare = ChannelsConnection.prepare

    async def wait(connection: ChannelsConnection) -> None:
        seen.append(connection)
        await prepare(connection)

    monkeypatch.setattr(ChannelsConnection, "prepare", wait)
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
        self, gateway: Any, gate: Gate, requests: list[Any], speaker: int
    ) -> None:
        """The order of their arrival tells nothing: jupyter_server hands two on within 1 ms, in any order."""
        configure(gateway, session_silence=0.3)
        kernel_id, _ = await start(gateway)
        futures = await self.several(gateway, requests, kernel_id, 3)
        gate.open()
        notebooks = [Notebook(await future, "s1") for future in futures]
        await until(lambda: connections(gateway, kernel_id) == 3, "three connections")
        living = notebooks.pop(speaker)
        assert [await living.run(f"print({number})") for number in range(3)] == ["0\n", "1\n", "2\n"]
        for other in notebooks:
            await other.until_closed()
        await until(lambda: connections(gateway, kernel_id) == 1, "one connection")
        assert await living.run("print(3)") == "3\n" and connections(gateway, kernel_id) == 1
        living.socket.close()
        await until(lambda: connections(gateway, kernel_id) == 0, "the end of the connection")
        assert opened_by(kernel_id) == []

    async def test_what_two_of_a_session_send_at_the_same_time_is_run(
        self, gateway: Any, gate: Gate, requests: list[Any]
    ) -> None:
        configure(gateway, session_silence=1000)
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
    async def test_a_second_websocket_of_an_open_session_takes_over(self, gateway: Any) -> None:
        """JupyterLab wakes up and connects again; what it had before is open still."""
        configure(gateway, session_silence=0.3)
        kernel_id, _ = await start(gateway)
        async with opened(gateway, kernel_id) as first:
            assert await first.run("print(1)") == "1\n"
            async with opened(gateway, kernel_id) as second:
                assert await second.run("print(2)") == "2\n"
                await first.until_closed()
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
