"""What goes to a notebook keeps its order, and waits within a bound for one that is slow or not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kg2at_personality.kernels import loop_turn
from kg2at_personality.kernels.output_buffer import OVERHEAD, Omitted, OutputBuffer
from kg2at_personality.web.outgoing import Outgoing
from tests.fakes.toree import until
from tests.kernels.test_output_buffer import message, text_of

pytestmark = pytest.mark.gen_test(timeout=30)


class SlowNotebook:
    """Takes as many messages as `room` says."""

    def __init__(self, room: float = float("inf")) -> None:
        self.room, self.refused = room, ""
        self.got: list[str] = []
        self.frames = self
        self._calls: list[Callable[[], None]] = []

    @contextmanager
    def together(self) -> Iterator[None]:
        yield

    @property
    def is_ready(self) -> bool:
        return self.room > 0

    def when_ready(self, call: Callable[[], None]) -> None:
        self._calls.append(call)

    def take_more(self, room: float = float("inf")) -> None:
        self.room = room
        calls, self._calls = self._calls, []
        for call in calls:
            call()

    def refuses(self, channel: str, message: list[Any]) -> bool:
        return text_of((channel, message)) == self.refused

    def send(self, channel: str, message: list[Any]) -> None:
        self.room -= 1
        self.got.append(text_of((channel, message)))

    def tell(self, omitted: Omitted) -> None:
        self.got.append(f"{omitted.messages} left out")


def outgoing(notebook: SlowNotebook, *waiting: str, limit: int = 0) -> Outgoing:
    buffer = OutputBuffer(limit)
    for text in waiting:
        buffer.append(message("stream", text))
    made: Any = Outgoing(notebook, buffer)  # type: ignore[arg-type]
    return made  # type: ignore[no-any-return]


def take(outgoing: Outgoing, *texts: str, msg_type: str = "stream") -> None:
    for text in texts:
        outgoing.take(*message(msg_type, text))


async def test_what_waited_comes_first() -> None:
    notebook = SlowNotebook()
    going = outgoing(notebook, "1", "2")
    take(going, "3")
    assert notebook.got == [], "the sockets are not connected yet"
    going.open()
    take(going, "4")
    await until(lambda: len(notebook.got) == 4, "all")
    assert notebook.got == ["1", "2", "3", "4"] and not going.waits


async def test_a_slow_notebook_gets_all_in_order() -> None:
    notebook = SlowNotebook(room=1)
    going = outgoing(notebook)
    going.open()
    take(going, *"123")
    assert notebook.got == ["1"] and going.waits
    notebook.take_more(1)
    take(going, "4")
    assert notebook.got == ["1", "2"]
    notebook.take_more()
    await until(lambda: notebook.got == ["1", "2", "3", "4"], "the rest")


async def test_one_that_does_not_read_is_told_what_it_does_not_get() -> None:
    notebook = SlowNotebook(room=0)
    going = outgoing(notebook, limit=3 * (OVERHEAD + 1000))
    going.open()
    take(going, *(f"{number}" + "x" * 600 for number in range(10)))
    take(going, "idle", msg_type="status")
    notebook.take_more()
    await until(lambda: not going.waits, "the rest")
    assert [text.strip("x") for text in notebook.got] == ["8 left out", "8", "9", "idle"]


async def test_what_waited_is_not_limited_by_its_rate() -> None:
    notebook = SlowNotebook()
    notebook.refused = "no"
    going = outgoing(notebook, "no", "1")
    going.open()
    await until(lambda: not going.waits, "what waited")
    take(going, "no", "2")
    assert notebook.got == ["no", "1", "2"]


async def test_much_that_waits_leaves_others_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_turn.turn, "seconds", 0)
    notebook, turns = SlowNotebook(), 0
    going = outgoing(notebook, *map(str, range(20)))
    going.open()
    while going.waits:
        take(going, "new") if turns == 3 else None
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 19 and notebook.got == [*map(str, range(20)), "new"]


async def test_one_that_goes_leaves_the_rest() -> None:
    notebook = SlowNotebook(room=1)
    going = outgoing(notebook, *"123")
    going.open()
    rest = going.close()
    take(going, "4")
    notebook.take_more()
    assert notebook.got == ["1"] and [text_of(each) for each in rest] == ["2", "3", "4"]
