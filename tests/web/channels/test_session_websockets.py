"""Which websockets of a session go on."""

from __future__ import annotations

import asyncio
import gc
from contextlib import nullcontext
from typing import Any

import pytest

from kg2at_personality.web.channels import session_websockets
from kg2at_personality.web.channels.session_websockets import SessionWebsockets, session_of

pytestmark = pytest.mark.gen_test


class FakeConnection:
    """A websocket that remembers what happens to it."""

    is_closing = False

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.heard: list[str] = []

    def together(self) -> Any:
        return nullcontext()

    def end(self) -> None:
        self.ended.set()

    def handle_outgoing_message(self, stream: Any, message: Any) -> None:
        self.heard.append(message)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> SessionWebsockets:
    monkeypatch.setattr(session_websockets, "SILENT", 0.01)
    return SessionWebsockets()


def joined(session: SessionWebsockets, count: int) -> list[FakeConnection]:
    connections = [FakeConnection() for _ in range(count)]
    for each in connections:
        session.join(each)
    return connections


async def checked(session: SessionWebsockets) -> None:
    """Wait until all that is to be looked at has been."""
    while session._checks:  # noqa: ASYNC110
        await asyncio.sleep(0.001)


class TestSilence:
    @pytest.mark.parametrize("speaker", [0, 1, 2])
    async def test_who_is_silent_while_another_speaks_ends(self, session: SessionWebsockets, speaker: int) -> None:
        connections = joined(session, 3)
        session.spoke(connections[speaker])
        await checked(session)
        assert [each.ended.is_set() for each in connections] == [number != speaker for number in range(3)]

    async def test_two_that_speak_both_go_on(self, session: SessionWebsockets) -> None:
        one, other = joined(session, 2)
        session.spoke(one)
        session.spoke(other)
        # What `other` says comes after; `one` has to speak again before `other` has been silent for long.
        session.spoke(one)
        await checked(session)
        assert not one.ended.is_set() and not other.ended.is_set()

    async def test_one_that_speaks_and_goes_takes_nobody_with_it(self, session: SessionWebsockets) -> None:
        """The one that was dropped had said something before."""
        dropped, living = joined(session, 2)
        session.spoke(dropped)
        session.leave(dropped)
        assert session._checks == {} and session.all == [living]

    async def test_one_that_opens_later_has_its_time(self, session: SessionWebsockets) -> None:
        one, other = joined(session, 2)
        session.spoke(one)
        [later] = joined(session, 1)
        await checked(session)
        assert other.ended.is_set() and not later.ended.is_set()
        session.spoke(one)
        await checked(session)
        assert later.ended.is_set()

    async def test_one_that_is_alone_is_not_looked_at(self, session: SessionWebsockets) -> None:
        [one] = joined(session, 1)
        session.spoke(one)
        assert session._checks == {} and not one.ended.is_set()

    async def test_what_comes_from_one_that_is_closing_ends_nobody(self, session: SessionWebsockets) -> None:
        one, other = joined(session, 2)
        one.is_closing = True
        session.spoke(one)
        session.leave(one)
        session.spoke(one)
        assert session._checks == {} and not other.ended.is_set()


async def test_all_hear_until_they_leave(session: SessionWebsockets) -> None:
    one, other = joined(session, 2)
    session.hear(None, [["a"]])
    session.leave(one)
    session.hear(None, [["b"]])
    assert one.heard == [["a"]] and other.heard == [["a"], ["b"]]
    assert session.beside(other) is None and session.beside(one) is other


async def test_a_session_is_remembered_as_long_as_somebody_has_it() -> None:
    session = session_of("kernel:session")
    assert session_of("kernel:session") is session and session_of("kernel:other") is not session
    del session
    gc.collect()
    assert "kernel:session" not in session_websockets._sessions
