"""What goes to a notebook keeps its order, and waits within a bound for one that is slow or not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kg2at_personality.kernels.output_buffer import OVERHEAD, Omitted, OutputBuffer
from kg2at_personality.web.channels.write_queue import WriteQueue
from tests.fakes.clock import ticks
from tests.fakes.messages import message, text_of
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)


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


def queue_of(
    notebook: SlowNotebook, *waiting: str, limit: int = 0, is_turn_over: Callable[[], bool] = lambda: False
) -> WriteQueue:
    buffer = OutputBuffer(limit)
    for text in waiting:
        buffer.append(message("stream", text))
    return WriteQueue(notebook, notebook.send, buffer, is_turn_over)  # type: ignore[arg-type]


def take(queue: WriteQueue, *texts: str, msg_type: str = "stream") -> None:
    for text in texts:
        queue.take(*message(msg_type, text))


async def test_what_waited_comes_first() -> None:
    notebook = SlowNotebook()
    queue = queue_of(notebook, "1", "2")
    take(queue, "3")
    assert notebook.got == [], "the sockets are not connected yet"
    queue.open()
    take(queue, "4")
    await until(lambda: len(notebook.got) == 4, "all")
    assert notebook.got == ["1", "2", "3", "4"] and not queue.waits


async def test_a_slow_notebook_gets_all_in_order() -> None:
    notebook = SlowNotebook(room=1)
    queue = queue_of(notebook)
    queue.open()
    take(queue, *"123")
    assert notebook.got == ["1"] and queue.waits
    notebook.take_more(1)
    take(queue, "4")
    assert notebook.got == ["1", "2"]
    notebook.take_more()
    await until(lambda: notebook.got == ["1", "2", "3", "4"], "the rest")


async def test_one_that_does_not_read_is_told_what_it_does_not_get() -> None:
    notebook = SlowNotebook(room=0)
    queue = queue_of(notebook, limit=3 * (OVERHEAD + 1000))
    queue.open()
    take(queue, *(f"{number}" + "x" * 600 for number in range(10)))
    take(queue, "idle", msg_type="status")
    notebook.take_more()
    await until(lambda: not queue.waits, "the rest")
    assert [text.strip("x") for text in notebook.got] == ["8 left out", "8", "9", "idle"]


async def test_what_waited_is_not_limited_by_its_rate() -> None:
    notebook = SlowNotebook()
    notebook.refused = "no"
    queue = queue_of(notebook, "no", "1")
    queue.open()
    await until(lambda: not queue.waits, "what waited")
    take(queue, "no", "2")
    assert notebook.got == ["no", "1", "2"]


async def test_much_that_waits_leaves_others_their_turn() -> None:
    notebook, turns = SlowNotebook(), 0
    queue = queue_of(notebook, *map(str, range(20)), is_turn_over=lambda: True)
    queue.open()
    while queue.waits:
        take(queue, "new") if turns == 3 else None
        turns += 1
        await ticks(1)
    assert turns >= 19 and notebook.got == [*map(str, range(20)), "new"]


async def test_one_that_goes_leaves_the_rest() -> None:
    notebook = SlowNotebook(room=1)
    queue = queue_of(notebook, *"123")
    queue.open()
    rest = queue.close()
    take(queue, "4")
    notebook.take_more()
    assert notebook.got == ["1"] and [text_of(each) for each in rest] == ["2", "3", "4"]
