from __future__ import annotations

from typing import Any

import pytest

from kg2at_personality.web.protocol.client_message import MalformedMessage, Message, parse
from kg2at_personality.web.protocol.request_rules import completed
from kg2at_personality.web.toree_protocol.toree_request_rules import for_toree, reply_content
from tests.fakes.messages import request, v1


def message(msg_type: str, content: dict[str, Any] | None = None, **header: Any) -> Message:
    return parse(v1(request(msg_type, content, **header)), True)


def test_what_toree_never_answers() -> None:
    answered = [
        message(name)
        for name in ("execute_request", "complete_request", "is_complete_request", "comm_info_request", "comm_msg")
    ]
    assert [reply_content(each) for each in answered] == [None] * 5
    assert reply_content(message("inspect_request")) == {
        "status": "ok",
        "found": False,
        "data": {},
        "metadata": {},
    }
    assert reply_content(message("history_request")) == {"status": "ok", "history": []}
    unknown = reply_content(message("debug_request"))
    assert unknown is not None and unknown["status"] == "error" and "debug_request" in unknown["evalue"]


@pytest.mark.parametrize(
    "content",
    [
        {"code": "é"},
        {"code": "é", "silent": None, "store_history": "yes", "user_expressions": [], "allow_stdin": 1},
        {"code": "é", "user_expressions": {"a": 1, "b": {}}},
    ],
)
def test_a_cell_for_toree_has_every_field(content: dict[str, Any]) -> None:
    cell = for_toree(completed(message("execute_request", content, username=None, version=None)))
    assert cell.content == {
        "code": "é",
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
    }
    assert {cell.header["username"], cell.header["version"]} == {"", "5.3"}
    assert b"".join(cell.parts).isascii()


def test_a_cell_keeps_what_it_says() -> None:
    content = {
        "code": "1",
        "silent": True,
        "store_history": False,
        "user_expressions": {"a": "b"},
        "allow_stdin": True,
        "stop_on_error": False,
    }
    assert for_toree(message("execute_request", content)).content == content


@pytest.mark.parametrize(("given", "taken"), [(-1, 0), (0, 0), (2, 2), (3, 3), (4, 3), (10**12, 3)])
def test_a_cursor_stays_in_the_code(given: int, taken: int) -> None:
    asked = message("complete_request", {"code": "sc.", "cursor_pos": given})
    assert for_toree(asked).content["cursor_pos"] == taken


@pytest.mark.parametrize("header", [{"username": 5}, {"session": []}, {"version": 5.3}])
def test_a_header_that_toree_would_drop(header: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        for_toree(message("kernel_info_request", **header))


def test_parts_that_toree_could_not_parse() -> None:
    whole = message("kernel_info_request").parts
    for place in (1, 2, 3):
        for part in (b"[]", b"{", b"\xff", b"[" * 100_000):
            with pytest.raises(MalformedMessage):
                for_toree(Message("shell", [*whole[:place], part, *whole[place + 1 :]], []))
