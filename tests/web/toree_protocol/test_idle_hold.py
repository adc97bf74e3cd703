"""A cell's idle status comes after all that belongs to the cell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kg2at_personality.web.toree_protocol.idle_hold import REMEMBERED, IdleHold, KernelMessage
from tests.fakes.clock import ticks
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
NEVER = 1000.0


class Sent:
    """What a notebook was sent, by name; what still waits at the kernel's socket comes when somebody looks."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.unread: list[KernelMessage] = []
        self.is_flushed = True
        self.looks = 0
        self.asked: list[Callable[[], None]] = []
        self.runs = True
        self.has_run_cell = False
        # What is known to come is waited for, however busy the machine is.
        self.hold = IdleHold(self.forward, self.flush, self.ask, self, limit=NEVER, patience=NEVER)

    def forward(self, channel: str, parts: list[Any]) -> None:
        self.names.append(f"{parts[0]}")

    def note_cell_run(self) -> None:
        self.has_run_cell = True

    def ask(self, call: Callable[[], None]) -> None:
        self.asked.append(call)
        if self.runs:
            call()

    def flush(self) -> bool:
        self.looks += 1
        while self.unread:
            self.hold.take(self.unread.pop(0))
        return self.is_flushed

    def warm_up(self) -> None:
        self.take(KernelMessage("iopub", ["a result"], "earlier", is_result=True))
        self.names.clear()

    def take(self, *messages: KernelMessage) -> None:
        for message in messages:
            self.hold.take(message)


@pytest.fixture
def sent(io_loop: Any) -> Sent:
    made = Sent()

    async def warm_up() -> None:
        made.warm_up()

    io_loop.run_sync(warm_up)
    return made


def idle(cell: str | None = "a") -> KernelMessage:
    return KernelMessage("iopub", [f"{cell} idle"], cell, is_idle=True)


def reply(cell: str = "a", status: str = "ok") -> KernelMessage:
    return KernelMessage("shell", [f"{cell} reply"], cell, reply=status)


def output(cell: str | None = "a", **more: Any) -> KernelMessage:
    return KernelMessage("iopub", [f"{cell} output"], cell, **more)


async def test_it_waits_for_the_reply_and_then_a_little(sent: Sent) -> None:
    sent.take(idle())
    assert sent.names == [] and sent.hold.holds
    sent.take(reply())
    assert sent.names == ["a reply"]
    await until(lambda: sent.names == ["a reply", "a idle"], "the idle status")
    assert not sent.hold.holds


async def test_a_reply_that_came_first_is_remembered(sent: Sent) -> None:
    sent.take(reply(), idle())
    await until(lambda: sent.names == ["a reply", "a idle"], "the idle status")


async def test_output_that_comes_late_comes_before_it(sent: Sent) -> None:
    sent.take(output(), idle(), reply(), output())
    assert sent.names == ["a output", "a reply", "a output"]
    await until(lambda: sent.names[3:] == ["a idle"], "the idle status")


async def test_output_that_nobody_has_read_yet_comes_before_it(sent: Sent) -> None:
    """The loop was busy for longer than the wait."""
    sent.take(idle(), reply())
    sent.unread.append(output())
    await until(lambda: not sent.hold.holds, "the idle status")
    assert sent.names == ["a reply", "a output", "a idle"]


async def test_output_that_waits_for_a_slow_notebook_comes_before_it(sent: Sent) -> None:
    sent.is_flushed = False
    sent.take(idle(), reply())
    await until(lambda: sent.looks > 3, "more looks")
    assert sent.hold.holds
    sent.take(output())
    sent.is_flushed = True
    await until(lambda: not sent.hold.holds, "the idle status")
    assert sent.names == ["a reply", "a output", "a idle"]


async def test_a_kernel_that_stands_still_is_waited_for(sent: Sent) -> None:
    """It collects garbage: neither its output comes nor its heartbeat."""
    sent.runs, sent.hold.limit = False, 0.01
    sent.take(idle(), reply())
    assert sent.hold.due is not None and sent.hold.due > asyncio.get_running_loop().time() + NEVER / 2
    sent.take(output())
    [beat] = sent.asked
    beat()
    await until(lambda: sent.names == ["a reply", "a output", "a idle"], "the idle status")
    beat()
    assert not sent.hold.holds and sent.hold.due is None, "it was for that one"


async def test_a_reply_that_is_late_is_waited_for(sent: Sent) -> None:
    sent.hold.limit = 0.01
    sent.take(idle())
    assert sent.hold.due is not None and sent.hold.due > asyncio.get_running_loop().time() + NEVER / 2
    sent.take(output(), reply())
    await until(lambda: sent.names == ["a output", "a reply", "a idle"], "the idle status")


async def test_a_kernel_that_answers_no_more_is_not_waited_for_without_end(sent: Sent) -> None:
    sent.runs, sent.hold.patience = False, 0.01
    sent.take(idle())
    await until(lambda: sent.names == ["a idle"], "the idle status")


async def test_before_the_first_result_there_is_time() -> None:
    """The JVM loads what sends it."""
    cold = Sent()
    cold.take(reply(), idle())
    assert cold.hold.due is not None and cold.hold.due > asyncio.get_running_loop().time() + NEVER / 2
    cold.take(output(is_result=True))
    await until(lambda: cold.names == ["a reply", "a output", "a idle"], "the idle status")


async def test_an_error_that_the_reply_tells_of_is_waited_for(sent: Sent) -> None:
    sent.take(reply(status="error"), idle())
    assert sent.hold.due is not None and sent.hold.due > asyncio.get_running_loop().time() + NEVER / 2
    sent.take(output(is_error=True))
    await until(lambda: sent.names == ["a reply", "a output", "a idle"], "the idle status")


async def test_an_error_that_came_first_is_not(sent: Sent) -> None:
    sent.take(output(is_error=True), reply(status="error"), idle())
    await until(lambda: sent.names == ["a output", "a reply", "a idle"], "the idle status")


async def test_the_reply_to_another_notebook_never_comes(sent: Sent) -> None:
    sent.take(KernelMessage("iopub", ["a idle"], "a", is_idle=True, is_anothers=True), output("b"))
    await until(lambda: sent.names == ["a idle", "b output"], "the idle status")


async def test_output_without_end_holds_it_no_longer(sent: Sent) -> None:
    """What a cell began goes on to print."""
    sent.hold.limit = 0.01
    sent.hold.quiet = NEVER
    sent.take(reply(), idle())

    async def print_on() -> None:
        while sent.hold.holds:
            sent.take(output())
            await ticks(1)

    await asyncio.wait_for(print_on(), 20)
    assert sent.names[-1] == "a idle"


async def test_what_is_published_meanwhile_keeps_its_order(sent: Sent) -> None:
    sent.take(idle(), output("b"), idle("b"), reply("b"), output(None), output("b"))
    assert sent.names == ["b reply"], "a reply waits for nothing"
    sent.hold.limit = 0.01
    sent.take(reply())
    await until(lambda: len(sent.names) == 7, "all of it")
    assert sent.names == ["b reply", "a reply", "a idle", "b output", "b output", "b idle", "None output"]


async def test_when_the_next_cell_runs_already_there_is_time(sent: Sent) -> None:
    """Toree is busy with it, so that output of the first comes later than else; nobody waits for that one's end."""
    sent.take(idle(), reply(), output("b"), output(None))
    began = asyncio.get_running_loop().time()
    assert sent.hold.due is not None and sent.hold.due > began + NEVER / 2
    sent.take(output(), idle("b"), reply("b"))
    assert sent.hold.due <= began + NEVER, "counted from when it came"
    sent.hold.limit = 0.01
    sent.take(output("c"))
    await until(lambda: not sent.hold.holds, "all")
    assert sent.names == [
        *("a reply", "a output", "b reply"),
        *("a idle", "b output", "None output", "b idle", "c output"),
    ]


async def test_what_is_no_cell_is_not_held(sent: Sent) -> None:
    sent.take(idle(None))
    assert sent.names == ["None idle"] and not sent.hold.holds


async def test_what_waits_when_the_websocket_closes_is_handed_over(sent: Sent) -> None:
    sent.take(idle(), output("b"), idle("b"))
    assert sent.hold.close() == [("iopub", ["a idle"]), ("iopub", ["b output"]), ("iopub", ["b idle"])]
    assert not sent.hold.holds and sent.hold.close() == [] and sent.hold.due is None


async def test_what_is_remembered_is_bounded(sent: Sent) -> None:
    for number in range(10 * REMEMBERED):
        sent.take(reply(str(number), "error"), output(str(number), is_error=True))
    assert sent.hold.remembered == (REMEMBERED, REMEMBERED)


async def test_a_process_has_run_a_cell_once_one_has_ended() -> None:
    """A notebook whose cells have no result does not wait for one again and again."""
    cold = Sent()
    cold.hold.limit = 0.01
    cold.take(reply(), idle())
    assert cold.hold.holds and not cold.has_run_cell
    await until(lambda: not cold.hold.holds, "the idle status")
    assert cold.names == ["a reply", "a idle"] and cold.has_run_cell
    cold.hold.limit = NEVER
    cold.take(reply("b"), idle("b"))
    await until(lambda: cold.names[-1] == "b idle", "the idle status")
