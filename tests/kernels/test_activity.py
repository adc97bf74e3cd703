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
