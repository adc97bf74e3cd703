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
