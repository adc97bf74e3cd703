from __future__ import annotations

from typing import Any

import pytest

from kg2at_personality.web.protocol import request_rules as rules
from kg2at_personality.web.protocol.client_message import MalformedMessage, Message, parse
from tests.fakes.messages import request, v1


def message(msg_type: str, content: dict[str, Any] | None = None, **header: Any) -> Message:
    return parse(v1(request(msg_type, content, **header)), True)


@pytest.mark.parametrize(
    ("msg_type", "content"),
    [
        ("execute_request", {"code": ""}),
        ("complete_request", {"code": "a", "cursor_pos": 0}),
        ("is_complete_request", {"code": "a"}),
        ("inspect_request", {"code": "a", "cursor_pos": 1}),
        ("kernel_info_request", {}),
        ("comm_info_request", {}),
        ("history_request", {}),
        ("comm_open", {"comm_id": "c", "target_name": "t"}),
        ("shutdown_request", {}),
        ("anything", {}),
    ],
)
def test_complete_requests(msg_type: str, content: dict[str, Any]) -> None:
    assert rules.problem(message(msg_type, content)) is None


@pytest.mark.parametrize("value", [None, "3", 1.5, True, [], {}])
def test_a_cursor_that_is_none(value: Any) -> None:
    for content in ({"code": "a", "cursor_pos": value}, {"code": "a"}):
        problem = rules.problem(message("complete_request", content))
        assert problem is not None and "'cursor_pos'" in problem and "must be a number" in problem


@pytest.mark.parametrize("msg_type", ["execute_request", "complete_request", "is_complete_request", "inspect_request"])
@pytest.mark.parametrize("content", [{}, {"code": None}, {"code": 5}, {"code": ["a" * 1000]}])
def test_code_that_is_none(msg_type: str, content: dict[str, Any]) -> None:
    problem = rules.problem(message(msg_type, content | {"cursor_pos": 0}))
    assert problem is not None and "'code'" in problem and len(problem) < 200


def test_content_that_is_no_object() -> None:
    broken = Message("shell", [*message("execute_request").parts[:3], b"[]"], [])
    with pytest.raises(MalformedMessage):
        rules.problem(broken)


def test_what_toree_never_answers() -> None:
    answered = [
        message(name)
        for name in ("execute_request", "complete_request", "is_complete_request", "comm_info_request", "comm_msg")
    ]
    assert [rules.answer_for_toree(each) for each in answered] == [None] * 5
    assert rules.answer_for_toree(message("inspect_request")) == {
        "status": "ok",
        "found": False,
        "data": {},
        "metadata": {},
    }
    assert rules.answer_for_toree(message("history_request")) == {"status": "ok", "history": []}
    unknown = rules.answer_for_toree(message("debug_request"))
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
    cell = rules.for_toree(rules.completed(message("execute_request", content, username=None, version=None)))
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
    assert rules.for_toree(message("execute_request", content)).content == content


@pytest.mark.parametrize(("given", "taken"), [(-1, 0), (0, 0), (2, 2), (3, 3), (4, 3), (10**12, 3)])
def test_a_cursor_stays_in_the_code(given: int, taken: int) -> None:
    asked = message("complete_request", {"code": "sc.", "cursor_pos": given})
    assert rules.for_toree(asked).content["cursor_pos"] == taken


@pytest.mark.parametrize("header", [{"username": 5}, {"session": []}, {"version": 5.3}])
def test_a_header_that_toree_would_drop(header: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        rules.for_toree(message("kernel_info_request", **header))


def test_parts_that_toree_could_not_parse() -> None:
    whole = message("kernel_info_request").parts
    for place in (1, 2, 3):
        for part in (b"[]", b"{", b"\xff", b"[" * 100_000):
            with pytest.raises(MalformedMessage):
                rules.for_toree(Message("shell", [*whole[:place], part, *whole[place + 1 :]], []))
