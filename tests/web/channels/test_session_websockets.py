"""Which websockets of a session go on."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import nullcontext
from typing import Any

import pytest

from kg2at_personality.web.channels.session_websockets import SessionWebsockets, session_of
from tests.fakes.wait import until

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
def session() -> SessionWebsockets:
    return SessionWebsockets(silence=0.01)


def joined(session: SessionWebsockets, count: int) -> list[FakeConnection]:
    connections = [FakeConnection() for _ in range(count)]
    for each in connections:
        session.join(each)
    return connections


async def checked(session: SessionWebsockets) -> None:
    """Wait until all that is to be looked at has been."""
    await until(lambda: session.checks == 0, "the checks")


class TestSilence:
    @pytest.mark.parametrize("speaker", [0, 1, 2])
    async def test_who_is_silent_while_another_speaks_ends(self, session: SessionWebsockets, speaker: int) -> None:
        connections = joined(session, 3)
        session.note_message(connections[speaker])
        await checked(session)
        assert [each.ended.is_set() for each in connections] == [number != speaker for number in range(3)]

    async def test_two_that_speak_both_go_on(self, session: SessionWebsockets) -> None:
        one, other = joined(session, 2)
        session.note_message(one)
        session.note_message(other)
        # What `other` says comes after; `one` has to speak again before `other` has been silent for long.
        session.note_message(one)
        await checked(session)
        assert not one.ended.is_set() and not other.ended.is_set()

    async def test_one_that_speaks_and_goes_takes_nobody_with_it(self, session: SessionWebsockets) -> None:
        """The one that was dropped had said something before."""
        dropped, living = joined(session, 2)
        session.note_message(dropped)
        session.leave(dropped)
        assert session.checks == 0 and session.all == [living]

    async def test_one_that_opens_later_has_its_time(self, session: SessionWebsockets) -> None:
        one, other = joined(session, 2)
        session.note_message(one)
        [later] = joined(session, 1)
        await checked(session)
        assert other.ended.is_set() and not later.ended.is_set()
        session.note_message(one)
        await checked(session)
        assert later.ended.is_set()

    async def test_one_that_is_alone_is_not_looked_at(self, session: SessionWebsockets) -> None:
        [one] = joined(session, 1)
        session.note_message(one)
        assert session.checks == 0 and not one.ended.is_set()

    async def test_what_comes_from_one_that_is_closing_ends_nobody(self, session: SessionWebsockets) -> None:
        one, other = joined(session, 2)
        one.is_closing = True
        session.note_message(one)
        session.leave(one)
        session.note_message(one)
        assert session.checks == 0 and not other.ended.is_set()


async def test_all_hear_until_they_leave(session: SessionWebsockets) -> None:
    one, other = joined(session, 2)
    session.hear(None, [["a"]])
    session.leave(one)
    session.hear(None, [["b"]])
    assert one.heard == [["a"]] and other.heard == [["a"], ["b"]]
    assert session.other_than(other) is None and session.other_than(one) is other


async def test_a_session_is_remembered_as_long_as_somebody_has_it() -> None:
    session = session_of("kernel:session")
    assert session_of("kernel:session") is session and session_of("kernel:other") is not session
    kept = weakref.ref(session)
    del session
    gc.collect()
    assert kept() is None
