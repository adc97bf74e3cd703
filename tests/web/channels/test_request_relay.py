"""What a notebook sends through a real websocket: what reaches the kernel, and what the gateway answers itself."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from tornado.websocket import WebSocketClientConnection, websocket_connect

from kg2at_personality.web.channels.session_websockets import session_of
from tests.fakes.messages import older, request, v1
from tests.fakes.toree import QUICK, FakeSpark, slowly
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
LIMIT = 100_000
V1 = "v1.kernel.websocket.jupyter.org"


@pytest.fixture
def spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpark]:
    with FakeSpark(tmp_path).enter(monkeypatch) as fake:
        yield fake


@pytest.fixture
def environ(spark: FakeSpark) -> Path:
    return spark.conf


@pytest.fixture
def settings() -> dict[str, Any]:
    return QUICK | {"KG2ATPersonality": {"max_message_size": LIMIT}}


class Notebook:
    """A websocket of either protocol."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket, self.is_v1 = socket, socket.selected_subprotocol == V1

    def send(self, msg_type: str, content: dict[str, Any], **more: Any) -> str:
        message = request(msg_type, content, msg_id=uuid.uuid4().hex, **more)
        self.socket.write_message(v1(message) if self.is_v1 else older(message), binary=self.is_v1)
        return str(message["header"]["msg_id"])

    async def finish(self, *msg_ids: str) -> list[list[tuple[str, dict[str, Any]]]]:
        """For each request the types and contents of what answers it, when all have a reply and are idle."""
        found: dict[str, list[tuple[str, dict[str, Any]]]] = {msg_id: [] for msg_id in msg_ids}
        while not all(is_done(said) for said in found.values()):
            raw = await asyncio.wait_for(self.socket.read_message(), 20)
            assert raw is not None, "the gateway closed the websocket"
            header, parent, said = self.parsed(raw)
            found.get(parent.get("msg_id"), []).append((header["msg_type"], said))
        return list(found.values())

    def parsed(self, raw: str | bytes) -> list[dict[str, Any]]:
        """Header, parent header and content of a message."""
        if self.is_v1:
            parts = deserialize_msg_from_ws_v1(raw)[1]
            return [json.loads(parts[place]) for place in (0, 1, 3)]
        message = json.loads(raw)
        return [message[name] for name in ("header", "parent_header", "content")]


def is_done(said: list[tuple[str, dict[str, Any]]]) -> bool:
    return ("status", {"execution_state": "idle"}) in said and any(kind.endswith("_reply") for kind, _ in said)


def content(said: list[tuple[str, dict[str, Any]]], kind: str) -> dict[str, Any]:
    return next(each for name, each in said if name == kind)


@asynccontextmanager
async def opened(gateway: Any, name: str, protocol: str = "") -> AsyncIterator[Notebook]:
    kernel_id = await gateway.app.kernel_manager.start_kernel(kernel_name=name)
    async with connected(gateway, kernel_id, protocol) as notebook:
        yield notebook


@asynccontextmanager
async def connected(gateway: Any, kernel_id: str, protocol: str) -> AsyncIterator[Notebook]:
    url = f"{gateway.base_url.replace('http', 'ws')}/api/kernels/{kernel_id}/channels?session_id=s1"
    socket = await websocket_connect(url, max_message_size=100_000_000, subprotocols=[protocol] if protocol else None)
    try:
        yield Notebook(socket)
    finally:
        socket.close()


@pytest.mark.parametrize("protocol", ["", V1])
async def test_sql_cells_arrive_whole_and_are_shown_as_they_were_written(gateway: Any, protocol: str) -> None:
    """The fake Toree prints the SQL that it is to run."""
    text = "select '$é😀', \"\"\" -- one\n; 'b'"
    async with opened(gateway, "apache_toree_sql", protocol) as notebook:
        for code in (text, f"%%sql\n{text}", "-- nothing"):
            (said,) = await notebook.finish(notebook.send("execute_request", {"code": code}))
            assert content(said, "execute_input")["code"] == code
            printed = "".join(each["text"] for kind, each in said if kind == "stream")
            assert printed == ("" if code.startswith("--") else f"{code}\n")
            assert content(said, "execute_reply")["status"] == "ok"


@pytest.mark.parametrize("name", ["apache_toree_scala", "python3"])
async def test_incomplete_requests_go_no_further(gateway: Any, name: str) -> None:
    async with opened(gateway, name) as notebook:
        for msg_type, given in (("complete_request", {"code": "a"}), ("is_complete_request", {})):
            (said,) = await notebook.finish(notebook.send(msg_type, given))
            assert [kind for kind, _ in said] == ["status", msg_type.replace("request", "reply"), "status"]
            assert said[1][1]["status"] == "error" and "must be" in said[1][1]["evalue"]
        (said,) = await notebook.finish(notebook.send("execute_request", {"code": None}))
        assert [kind for kind, _ in said] == ["status", "error", "execute_reply", "status"]
        (said,) = await notebook.finish(notebook.send("execute_request", {"code": "print(6 * 7)"}))
        assert content(said, "stream")["text"] == "42\n"


@pytest.mark.parametrize(("name", "answers"), [("apache_toree_scala", {"found": False}), ("python3", {"found": True})])
async def test_toree_is_not_asked_what_it_never_answers(gateway: Any, name: str, answers: dict[str, Any]) -> None:
    async with opened(gateway, name) as notebook:
        (said,) = await notebook.finish(notebook.send("inspect_request", {"code": "print", "cursor_pos": 2}))
        reply = content(said, "inspect_reply")
        assert reply["status"] == "ok" and {"found": reply["found"]} == answers


async def test_a_failing_cell_stops_those_behind_it(gateway: Any) -> None:
    async with opened(gateway, "apache_toree_scala") as notebook:
        codes = ("print(1)", "1 / 0", "// nothing", "print(2)")
        cells = [notebook.send("execute_request", {"code": code}) for code in codes]
        said = await notebook.finish(*cells)
        replies = [content(each, "execute_reply") for each in said]
        assert [reply["status"] for reply in replies] == ["ok", "error", "aborted", "aborted"]
        # The statuses come by another channel than the reply.
        assert sorted(kind for kind, _ in said[3]) == ["execute_reply", "status", "status"]
        (said_later,) = await notebook.finish(notebook.send("execute_request", {"code": "// nothing"}))
        assert content(said_later, "execute_reply")["status"] == "ok"


@pytest.mark.parametrize("protocol", ["", V1])
async def test_what_is_kept_back_is_sent_when_its_notebook_goes(
    gateway: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """A notebook that restarts its kernel sends a cell and an incomplete request, and leaves."""
    kernel_id = await gateway.start()
    kernel = gateway.app.kernel_manager.get_kernel(kernel_id)
    connect = kernel.connect_iopub
    monkeypatch.setattr(kernel, "connect_iopub", lambda **more: slowly(connect(**more)))
    async with connected(gateway, kernel_id, protocol) as notebook:
        await notebook.finish(notebook.send("execute_request", {"code": "1"}))
        assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})).code == 200
        notebook.send("complete_request", {"code": "1"})
        notebook.send("execute_request", {"code": f"open({str(tmp_path / 'ran')!r}, 'w')"})
        (connection,) = session_of(f"{kernel_id}:s1").all
        await until(lambda: connection._restarts.kept == 2, "both messages")
    await until((tmp_path / "ran").exists, "the cell's effect")
    assert gateway.app.kernel_manager.kernel_model(kernel_id)["connections"] == 0


@pytest.mark.parametrize(("name", "protocol"), [("apache_toree_scala", V1), ("python3", "")])
async def test_a_cell_that_is_too_large_is_told_so(gateway: Any, name: str, protocol: str) -> None:
    async with opened(gateway, name, protocol) as notebook:
        (said,) = await notebook.finish(notebook.send("execute_request", {"code": "#" * 2 * LIMIT}))
        assert f"larger than {LIMIT} bytes" in content(said, "error")["evalue"]
        assert content(said, "execute_reply")["status"] == "error"
        (said,) = await notebook.finish(notebook.send("execute_request", {"code": "print('1')" + " " * (LIMIT - 1000)}))
        assert content(said, "stream")["text"] == "1\n"
        notebook.send("execute_request", {"code": "#" * 5 * LIMIT})
        while await asyncio.wait_for(notebook.socket.read_message(), 20) is not None:
            pass
        assert notebook.socket.close_code in (1009, None)


class TestAnyMessageSize:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return QUICK | {"KG2ATPersonality": {"max_message_size": 0}}

    async def test_a_cell_of_twelve_megabytes(self, gateway: Any) -> None:
        async with opened(gateway, "python3") as notebook:
            code = "print('1') #" + "x" * 12_000_000
            (said,) = await notebook.finish(notebook.send("execute_request", {"code": code}))
            assert content(said, "stream")["text"] == "1\n"
