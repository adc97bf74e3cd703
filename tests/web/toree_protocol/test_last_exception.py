from __future__ import annotations

from typing import Any

import pytest
from jupyter_client.session import DELIM, Session

from kg2at_personality.web.toree_protocol.last_exception import LastExceptionFilter

KERNEL, OURS = Session(key=b"key"), Session(key=b"key")
TEXT = "lastException = null\n"


def parts(msg_type: str, parent: str = "a", **content: Any) -> list[Any]:
    """A kernel's message, signature first."""
    header = {"msg_id": parent, "msg_type": "execute_request", "session": "s"}
    message = KERNEL.msg(msg_type, content, parent={"header": header})
    return list(KERNEL.feed_identities(KERNEL.serialize(message))[1])


def shown(msg_type: str, text: str, parent: str = "a") -> list[Any]:
    return parts(msg_type, parent, data={"text/plain": text}, metadata={})


@pytest.fixture
def last_exception() -> LastExceptionFilter:
    return LastExceptionFilter(OURS)


def test_it_is_dropped_with_the_result_it_makes(last_exception: LastExceptionFilter) -> None:
    assert last_exception.without(shown("display_data", TEXT)) is None
    assert last_exception.without(shown("execute_result", "null")) is None


def test_what_stands_behind_it_stays(last_exception: LastExceptionFilter) -> None:
    passed = last_exception.without(shown("display_data", f"{TEXT}x = 1\n"))
    assert passed is not None
    content = OURS.deserialize(OURS.feed_identities(passed)[1])["content"]
    assert content["data"] == {"text/plain": "x = 1\n"}


@pytest.mark.parametrize(
    "message",
    [
        shown("display_data", f"a\n{TEXT}"),
        shown("execute_result", TEXT),
        shown("execute_result", "null"),
        parts("stream", name="stdout", text=TEXT),
        parts("display_data", data={"text/html": TEXT}),
        parts("status", execution_state="idle"),
    ],
)
def test_other_messages_are_left_alone(last_exception: LastExceptionFilter, message: list[Any]) -> None:
    assert last_exception.without(message) == [DELIM, *message]


def test_another_result_is_left_alone(last_exception: LastExceptionFilter) -> None:
    assert last_exception.without(shown("display_data", TEXT)) is None
    for message in (shown("execute_result", "7"), shown("execute_result", "null", parent="b")):
        assert last_exception.without(message) == [DELIM, *message]


def test_what_was_not_signed_by_the_kernel_is_not_signed_here(last_exception: LastExceptionFilter) -> None:
    forged = [b"wrong", *shown("display_data", f"{TEXT}x = 1\n")[1:]]
    assert last_exception.without(forged) == [DELIM, *forged]
