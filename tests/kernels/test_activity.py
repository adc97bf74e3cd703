"""A kernel's state is followed, whatever it publishes; its output is not read for that."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_client.session import Session

from kg2at_personality.kernels.activity import Activity

SESSION = Session(key=b"key")
BEFORE = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Stream:
    """A ZMQStream with a callback and nothing at its socket."""

    def __init__(self, callback: Any) -> None:
        self._recv_callback = callback

    def on_recv(self, callback: Any) -> None:
        self._recv_callback = callback

    def closed(self) -> bool:
        return True


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("state", "msg_type", "content", "is_read"),
    [
        ("busy", "stream", {"name": "stdout", "text": 'says "status"'}, False),
        ("busy", "display_data", {}, False),
        ("busy", "status", {"execution_state": "idle"}, True),
        ("idle", "stream", {}, True),
        ("starting", "stream", {}, True),
    ],
)
async def test_what_is_read(state: str, msg_type: str, content: dict[str, Any], is_read: bool) -> None:
    read: list[Any] = []
    stream = Stream(read.append)
    kernel: Any = SimpleNamespace(execution_state=state, last_activity=BEFORE, activity_stream=stream)
    manager = SimpleNamespace(last_kernel_activity=BEFORE)
    Activity(manager, kernel)
    message = SESSION.serialize(SESSION.msg(msg_type, content), ident=b"topic")
    stream._recv_callback(message)
    assert read == ([message] if is_read else [])
    active = kernel.last_activity > BEFORE and kernel.last_activity == manager.last_kernel_activity
    assert active is not is_read, "whoever reads it says when it came"


@pytest.mark.gen_test
@pytest.mark.parametrize("message", [[], [b"<IDS|MSG>"], [b"x", b"y"]])
async def test_a_malformed_message_is_left_to_whoever_reads_it(message: list[bytes]) -> None:
    read: list[Any] = []
    kernel: Any = SimpleNamespace(execution_state="busy", activity_stream=Stream(read.append))
    Activity(SimpleNamespace(), kernel)
    kernel.activity_stream._recv_callback(message)
    assert read == [message]


@pytest.mark.gen_test
async def test_the_cell_that_it_runs() -> None:
    stream = Stream(lambda message: None)
    kernel: Any = SimpleNamespace(execution_state="idle", activity_stream=stream, running_cell="", last_activity=BEFORE)
    Activity(SimpleNamespace(last_kernel_activity=BEFORE), kernel)

    def says(cell: str, state: str, msg_type: str = "execute_request") -> str:
        parent = {"header": {"msg_id": cell, "msg_type": msg_type}}
        content = {"execution_state": state}
        stream._recv_callback(SESSION.serialize(SESSION.msg("status", content, parent=parent), ident=b"topic"))
        return str(kernel.running_cell)

    assert says("info", "busy", "kernel_info_request") == ""
    assert says("a", "busy") == "a" and kernel.header_session == SESSION.session
    kernel.execution_state = "busy"
    assert [says("info", state, "kernel_info_request") for state in ("busy", "idle")] == ["a", "a"]
    assert says("b", "busy") == "b"
    assert says("a", "idle") == "b"
    assert says("b", "idle") == ""
