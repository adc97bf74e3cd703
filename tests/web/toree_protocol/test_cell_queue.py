from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from traitlets import HasTraits, Unicode

from kg2at_personality.web.protocol.client_message import Message, parse
from kg2at_personality.web.toree_protocol.cell_queue import CellQueue
from tests.fakes.messages import request, v1
from tests.fakes.wait import until


class Kernel(HasTraits):
    """What the queue knows of a kernel."""

    execution_state = Unicode("idle")


class Toree:
    """Remembers the cells it is sent, and replies."""

    def __init__(self, **times: float) -> None:
        self.kernel, self.sent, self.aborted = Kernel(), list[str](), list[str]()
        self.queue = CellQueue(
            self.kernel,  # type: ignore[arg-type]
            lambda cell: self.sent.append(cell.msg_id),
            lambda cell: self.aborted.append(cell.msg_id),
            **times,
        )

    def add(self, names: str, **content: Any) -> None:
        for name in names:
            self.queue.add(cell(name, **content))

    def says(self, name: str, channel: str, msg_type: str, **content: Any) -> None:
        parts = [b"signature", *(json.dumps(part).encode() for part in ({"msg_type": msg_type}, {"msg_id": name}, {}))]
        self.queue.hear(channel, [*parts, json.dumps(content).encode()])

    def reply(self, name: str, status: str = "ok") -> None:
        self.says(name, "shell", "execute_reply", status=status)


def cell(name: str, **content: Any) -> Message:
    return parse(v1(request("execute_request", {"code": name} | content, msg_id=name)), True)


@pytest.fixture
def toree() -> Iterator[Toree]:
    yield Toree()


def test_cells_go_one_by_one(toree: Toree) -> None:
    toree.add("abc")
    assert toree.sent == ["a"]
    toree.says("a", "iopub", "stream", text="idle")
    toree.says("a", "shell", "complete_reply", status="ok")
    toree.reply("x")
    assert toree.sent == ["a"]
    for name in "abc":
        toree.reply(name)
    toree.add("d")
    assert toree.sent == list("abcd") and toree.aborted == []


@pytest.mark.parametrize("status", ["error", "abort", "aborted"])
def test_one_that_fails_stops_those_behind_it_and_none_that_comes_later(toree: Toree, status: str) -> None:
    toree.add("abc")
    toree.reply("a", status)
    assert toree.sent == ["a"] and toree.aborted == ["b", "c"]
    toree.add("d")
    assert toree.sent == ["a", "d"]


@pytest.mark.parametrize("content", [{"stop_on_error": False}, {"silent": True}])
def test_one_that_may_fail(toree: Toree, content: dict[str, Any]) -> None:
    toree.add("a", **content)
    toree.add("b")
    toree.reply("a", "error")
    assert toree.sent == ["a", "b"] and toree.aborted == []


@pytest.mark.parametrize("state", ["starting", "dead"])
def test_what_waits_for_a_process_that_ends_is_lost_with_it(toree: Toree, state: str) -> None:
    toree.add("abc")
    toree.kernel.execution_state = state
    toree.add("d")
    assert toree.sent == ["a", "d"] and toree.aborted == []


def test_what_waits_when_the_websocket_closes_is_sent(toree: Toree) -> None:
    toree.add("abc")
    toree.queue.close()
    toree.add("d")
    toree.kernel.execution_state = "starting"
    assert toree.sent == list("abcd")


@pytest.mark.gen_test
async def test_a_cell_without_a_reply_ends_with_its_idle_status() -> None:
    toree = Toree(reply_grace=0.01)
    toree.add("ab")
    toree.says("a", "iopub", "status", execution_state="idle")
    assert toree.sent == ["a"], "the reply may still come"
    await until(lambda: toree.sent == ["a", "b"], "the next cell")


@pytest.mark.gen_test
async def test_a_late_timer_ends_no_other_cell() -> None:
    toree = Toree(reply_grace=0.01)
    toree.add("abc")
    toree.says("a", "iopub", "status", execution_state="idle")
    toree.reply("a")
    toree.says("b", "iopub", "status", execution_state="busy")
    toree.reply("b")
    toree.says("b", "iopub", "status", execution_state="idle")
    toree.add("d")
    passed: list[int] = []
    asyncio.get_running_loop().call_later(0.05, passed.append, 1)
    await until(lambda: passed, "the timers")
    assert toree.sent == ["a", "b", "c"]
