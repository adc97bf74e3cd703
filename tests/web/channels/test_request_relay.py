"""What a notebook sends through a real websocket: what reaches the kernel, and what the gateway answers itself."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_client.session import Session

from kg2at_personality.web.channels.request_relay import RequestLimits, RequestRelay
from kg2at_personality.web.protocol.gateway_replies import GatewayReplies
from tests.fakes.messages import request, v1
from tests.fakes.notebook import V1, Notebook, connections, opened, printed, relay_of
from tests.fakes.toree import QUICK, slowly
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
LIMIT = 100_000


@pytest.fixture
def settings() -> dict[str, Any]:
    return QUICK | {"KG2ATPersonality": {"max_message_size": LIMIT}}


def content(said: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The content of the first message of a type."""
    return next(dict(each["content"]) for each in said if each["msg_type"] == kind)


def kinds(said: list[dict[str, Any]]) -> list[str]:
    return [each["msg_type"] for each in said]


@asynccontextmanager
async def started(gateway: Any, name: str, protocol: str = "") -> AsyncIterator[Notebook]:
    """A notebook of a new kernel."""
    kernel_id = await gateway.app.kernel_manager.start_kernel(kernel_name=name)
    async with opened(gateway, kernel_id, protocol=protocol) as notebook:
        yield notebook


@pytest.mark.parametrize("protocol", ["", V1])
async def test_sql_cells_arrive_whole_and_are_shown_as_they_were_written(gateway: Any, protocol: str) -> None:
    """The fake Toree prints the SQL that it is to run."""
    text = "select '$é😀', \"\"\" -- one\n; 'b'"
    async with started(gateway, "apache_toree_sql", protocol) as notebook:
        for code in (text, f"%%sql\n{text}", "-- nothing"):
            (said,) = await notebook.finish(notebook.send("execute_request", {"code": code}))
            assert content(said, "execute_input")["code"] == code
            assert printed(said) == ("" if code.startswith("--") else f"{code}\n")
            assert content(said, "execute_reply")["status"] == "ok"


@pytest.mark.parametrize("name", ["apache_toree_scala", "python3"])
async def test_incomplete_requests_go_no_further(gateway: Any, name: str) -> None:
    async with started(gateway, name) as notebook:
        for msg_type, given in (("complete_request", {"code": "a"}), ("is_complete_request", {})):
            (said,) = await notebook.finish(notebook.send(msg_type, given))
            assert kinds(said) == ["status", msg_type.replace("request", "reply"), "status"]
            assert said[1]["content"]["status"] == "error" and "must be" in said[1]["content"]["evalue"]
        (said,) = await notebook.finish(notebook.send("execute_request", {"code": None}))
        assert kinds(said) == ["status", "error", "execute_reply", "status"]
        (said,) = await notebook.finish(notebook.send("execute_request", {"code": "print(6 * 7)"}))
        assert content(said, "stream")["text"] == "42\n"


@pytest.mark.parametrize(("name", "answers"), [("apache_toree_scala", {"found": False}), ("python3", {"found": True})])
async def test_toree_is_not_asked_what_it_never_answers(gateway: Any, name: str, answers: dict[str, Any]) -> None:
    async with started(gateway, name) as notebook:
        (said,) = await notebook.finish(notebook.send("inspect_request", {"code": "print", "cursor_pos": 2}))
        reply = content(said, "inspect_reply")
        assert reply["status"] == "ok" and {"found": reply["found"]} == answers


async def test_a_failing_cell_stops_those_behind_it(gateway: Any) -> None:
    async with started(gateway, "apache_toree_scala") as notebook:
        codes = ("print(1)", "1 / 0", "// nothing", "print(2)")
        cells = [notebook.send("execute_request", {"code": code}) for code in codes]
        said = await notebook.finish(*cells)
        replies = [content(each, "execute_reply") for each in said]
        assert [reply["status"] for reply in replies] == ["ok", "error", "aborted", "aborted"]
        # The statuses come by another channel than the reply.
        assert sorted(kinds(said[3])) == ["execute_reply", "status", "status"]
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
    async with opened(gateway, kernel_id, protocol=protocol) as notebook:
        await notebook.finish(notebook.send("execute_request", {"code": "1"}))
        assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})).code == 200
        notebook.send("complete_request", {"code": "1"})
        notebook.send("execute_request", {"code": f"open({str(tmp_path / 'ran')!r}, 'w')"})
        await until(lambda: relay_of(kernel_id).restart_buffer.kept == 2, "both messages")
    await until((tmp_path / "ran").exists, "the cell's effect")
    assert connections(gateway, kernel_id) == 0


@pytest.mark.parametrize(("name", "protocol"), [("apache_toree_scala", V1), ("python3", "")])
async def test_a_cell_that_is_too_large_is_told_so(gateway: Any, name: str, protocol: str) -> None:
    async with started(gateway, name, protocol) as notebook:
        (said,) = await notebook.finish(notebook.send("execute_request", {"code": "#" * 2 * LIMIT}))
        assert f"larger than {LIMIT} bytes" in content(said, "error")["evalue"]
        assert content(said, "execute_reply")["status"] == "error"
        (said,) = await notebook.finish(notebook.send("execute_request", {"code": "print('1')" + " " * (LIMIT - 1000)}))
        assert content(said, "stream")["text"] == "1\n"
        notebook.send("execute_request", {"code": "#" * 5 * LIMIT})
        await notebook.until_closed()
        assert notebook.socket.close_code in (1009, None)


class TestAnyMessageSize:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return QUICK | {"KG2ATPersonality": {"max_message_size": 0}}

    async def test_a_cell_of_twelve_megabytes(self, gateway: Any) -> None:
        async with started(gateway, "python3") as notebook:
            code = "print('1') #" + "x" * 12_000_000
            (said,) = await notebook.finish(notebook.send("execute_request", {"code": code}))
            assert content(said, "stream")["text"] == "1\n"


class TestLimits:
    @staticmethod
    def relay(sent: list[str], limits: RequestLimits) -> RequestRelay:
        """A relay to a kernel that is no Toree, and remembers the types of what it is sent."""
        kernel: Any = SimpleNamespace(is_toree=False, kernel_id="k", header_session="", log=logging.getLogger("kernel"))
        replies = GatewayReplies(kernel, Session(), lambda channel, message: sent.append(channel))
        return RequestRelay(kernel, True, limits, lambda message: sent.append(message.msg_type), replies)

    @pytest.mark.parametrize(
        ("allowed", "sent"),
        [([], ["kernel_info_request", "debug_request"]), (["kernel_info_request"], ["kernel_info_request"])],
    )
    def test_types_that_are_not_allowed(
        self, allowed: list[str], sent: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        got: list[str] = []
        relay = self.relay(got, RequestLimits(0, allowed))
        for msg_type in ("kernel_info_request", "debug_request"):
            relay.take(v1(request(msg_type)))
        assert got == sent
        assert [record.getMessage() for record in caplog.records] == [
            f"Ignoring a message of a type that is not allowed: '{name}'"
            for name in {"kernel_info_request", "debug_request"} - set(sent)
        ]

    @pytest.mark.parametrize("raw", [b"", b"x" * 100, "text"])
    def test_a_malformed_message_is_logged(self, raw: str | bytes, caplog: pytest.LogCaptureFixture) -> None:
        got: list[str] = []
        self.relay(got, RequestLimits(0, ())).take(raw)
        self.relay(got, RequestLimits(10, ())).take(raw)
        assert got == [] and all("malformed message to kernel k" in record.getMessage() for record in caplog.records)
        assert len(caplog.records) == 2

    @pytest.mark.parametrize(("size", "taken"), [(0, True), (10_000, True), (10, False)])
    def test_sizes(self, size: int, taken: bool) -> None:
        got: list[str] = []
        self.relay(got, RequestLimits(size, ())).take(v1(request("kernel_info_request")))
        assert got == (["kernel_info_request"] if taken else ["iopub", "shell", "iopub"])
