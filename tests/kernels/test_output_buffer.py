"""What is kept of a kernel's messages while nobody takes them."""

from __future__ import annotations

from typing import Any

import pytest

from kg2at_personality.kernels.output_buffer import MAX_OMITTED, OVERHEAD, OutputBuffer
from tests.fakes.messages import message, text_of

LIMIT = 20 * (OVERHEAD + 1000)


def texts(buffer: OutputBuffer) -> list[str]:
    return [text_of(each) for each in buffer]


def test_what_fits_comes_out_as_it_went_in() -> None:
    buffer = OutputBuffer(LIMIT)
    said = [message("stream", "1"), message("status", "2"), message("execute_reply", "3", "shell"), message("x", "4")]
    for each in said:
        buffer.append(each)
    assert len(buffer) == 4 and list(buffer) == said
    assert [buffer.pop() for _ in said] == said
    assert not buffer and buffer.size == 0 and buffer.pop_omitted() == []


def test_the_oldest_output_goes_first_and_is_counted() -> None:
    buffer = OutputBuffer(LIMIT)
    for number in range(100):
        buffer.append(message("stream", f"{number:03}" * 300))
    assert buffer.size <= LIMIT < buffer.size + 2 * (OVERHEAD + 1000)
    kept = [text[:3] for text in texts(buffer)]
    assert kept == [f"{number:03}" for number in range(100 - len(kept), 100)]
    [omitted] = buffer.pop_omitted()
    assert omitted.messages == 100 - len(kept) and omitted.parent["msg_id"] == "cell"
    assert omitted.size > 900 * omitted.messages
    assert buffer.pop_omitted() == [], "it is told once"


@pytest.mark.parametrize(
    ("msg_type", "channel"),
    [
        ("status", "iopub"),
        ("error", "iopub"),
        ("execute_input", "iopub"),
        ("comm_open", "iopub"),
        ("comm_close", "iopub"),
        ("execute_reply", "shell"),
        ("interrupt_reply", "control"),
        ("input_request", "stdin"),
    ],
)
def test_never(msg_type: str, channel: str) -> None:
    """Without these a notebook would wait for ever."""
    buffer = OutputBuffer(1)
    for number in range(3):
        buffer.append(message("stream", "x" * 1000))
        buffer.append(message(msg_type, str(number), channel))
    assert texts(buffer) == ["0", "1", "2"]


@pytest.mark.parametrize("msg_type", ["stream", "display_data", "execute_result", "update_display_data", "comm_msg"])
def test_output(msg_type: str) -> None:
    buffer = OutputBuffer(1)
    buffer.append(message(msg_type, "x"))
    assert len(buffer) == 0 and buffer.size == 0 and buffer, "it still has something to tell"
    assert [omitted.messages for omitted in buffer.pop_omitted()] == [1] and not buffer


def test_each_cell_is_told_of_its_own() -> None:
    buffer = OutputBuffer(1)
    for parent in "aab":
        buffer.append(message("stream", parent=parent))
    assert [(each.parent["msg_id"], each.messages) for each in buffer.pop_omitted()] == [("a", 2), ("b", 1)]


def test_what_is_told_is_bounded_too() -> None:
    buffer = OutputBuffer(1)
    for number in range(3 * MAX_OMITTED):
        buffer.append(message("stream", parent=str(number)))
    omitted = buffer.pop_omitted()
    assert len(omitted) == MAX_OMITTED and sum(each.messages for each in omitted) == 3 * MAX_OMITTED


def test_what_is_put_back_is_the_oldest() -> None:
    buffer = OutputBuffer(LIMIT)
    buffer.append(message("stream", "3"))
    buffer.put_back(message("status", "2"))
    buffer.put_back(message("stream", "1"))
    assert texts(buffer) == ["1", "2", "3"] and [text_of(buffer.pop()) for _ in range(3)] == ["1", "2", "3"]


def test_another_bound() -> None:
    buffer = OutputBuffer(0)
    for _ in range(100):
        buffer.append(message("stream", "x" * 1000))
    assert len(buffer) == 100, "0 keeps all"
    buffer.bound(LIMIT)
    assert buffer.size <= LIMIT and len(buffer) < 20


@pytest.mark.parametrize("parts", [[], [b"x"], [b"<IDS|MSG>"], [b"<IDS|MSG>", b"", b"{"], [b"<IDS|MSG>", b"", b"[]"]])
def test_a_malformed_message_is_output(parts: list[Any]) -> None:
    buffer = OutputBuffer(1)
    buffer.append(("iopub", parts))
    assert [(each.parent, each.messages) for each in buffer.pop_omitted()] == [({}, 1)]
