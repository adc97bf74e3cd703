"""A cell's idle status, kept until what belongs before it has come.

Toree sends a cell's reply, its output and its idle status by different actors (KernelMessageRelay, StatusDispatch), so
that output can be last. A notebook is done with a cell when it is idle, and drops what comes later. Nothing in a reply
tells whether a result is to come; one with an error tells that an error is. Seen in 1,150 cells one after the other on
a busy machine: output up to 2.1 ms after both reply and idle, the reply up to 15 ms after idle. In 1,500 others it was
later than 5 ms three times: all of the JVM stands still while it collects garbage, its heartbeat as well.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

#: Seconds for which nothing of a cell may have come, and the kernel has not stood still, before its idle status goes.
QUIET = 0.003
#: Seconds that an idle status waits at most: for the cell's reply, the error that it tells of, and the heartbeat. All
#: of them when the next cell runs already, which Toree is busy with (whoever sent that waits for no idle status), and
#: for the first cell of a process (a JVM loads classes for a result, which the idle status needs not).
LIMIT = 0.1
#: Of how many cells it is remembered what has come: those that a notebook runs one after the other overlap.
REMEMBERED = 20


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(frozen=True)
class Message:
    """A kernel's message, and what it says. `cell` is the id of the request to run one, None for other requests."""

    channel: str
    parts: list[Any]
    cell: str | None = None
    is_idle: bool = False
    is_error: bool = False
    is_result: bool = False
    #: Whether another notebook sent the request, which gets the reply.
    is_anothers: bool = False
    #: The status of an execute_reply.
    reply: str = ""
    #: When it came, as the loop tells the time.
    at: float = field(default_factory=_now, compare=False)


class Process(Protocol):
    """What is known here of the kernel's process."""

    @property
    def is_warm(self) -> bool:
        """Whether it has run a cell of a notebook to its end."""

    def note_warm(self) -> None:
        """Called when it has."""


class IdleHold:
    """Belongs to one websocket. `forward` sends a message on to the notebook.

    `settle` takes what the kernel has published by now, and tells whether all that has come was given to `take`;
    `ask` calls back when the kernel has answered its heartbeat.
    """

    def __init__(
        self,
        forward: Callable[[str, list[Any]], None],
        settle: Callable[[], bool],
        ask: Callable[[Callable[[], None]], None],
        process: Process,
    ) -> None:
        self._forward, self._settle, self._ask, self._process = forward, settle, ask, process
        self._idle: Message | None = None
        self._is_followed = False
        #: When the last of the cell came, and when the kernel was seen to run since its idle status.
        self._last = 0.0
        self._ran: float | None = None
        self._behind: deque[Message] = deque()
        self._replies: dict[str, str] = {}
        self._errors: dict[str, bool] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def holds(self) -> bool:
        """Whether a cell's idle status waits."""
        return self._idle is not None

    def take(self, message: Message) -> None:
        """Called for each message, in order: send it on, now or after the idle status that waits."""
        self._remember(message)
        self._pass(message)

    def _remember(self, message: Message) -> None:
        if message.cell is None:
            return
        if message.reply:
            _add(self._replies, message.cell, message.reply)
        if message.is_result:
            self._process.note_warm()
        if message.is_error:
            _add(self._errors, message.cell, True)

    def _pass(self, message: Message) -> None:
        idle = self._idle
        if idle is None and message.is_idle and message.cell is not None:
            self._hold(message)
        elif idle is None or message.channel != "iopub" or message.cell == idle.cell:
            self._forward(message.channel, message.parts)
        else:
            self._behind.append(message)
        self._follow(message)

    def _hold(self, idle: Message) -> None:
        self._idle, self._is_followed, self._ran = idle, False, None
        self._ask(partial(self._runs, idle))

    def _runs(self, idle: Message) -> None:
        """Called when the kernel has answered, after it sent `idle`."""
        if self._idle is idle:
            self._ran = _now()
            self._wait(idle)

    def _follow(self, message: Message) -> None:
        """See what `message` means for the idle status that waits."""
        idle = self._idle
        if idle is None or message.cell is None:
            return
        if message.cell == idle.cell:
            self._last = message.at
        else:
            self._is_followed = True
        self._wait(idle)

    def _wait(self, idle: Message) -> None:
        """Look when nothing of the cell has come for a while, or no later than it may be."""
        due = idle.at + LIMIT
        if self._ran is not None and self._is_whole(idle):
            due = min(max(self._last, self._ran) + QUIET, due)
        if self._timer is None or self._timer.when() != due:
            self._stop_waiting()
            self._timer = asyncio.get_running_loop().call_at(due, self._look)

    def _is_whole(self, idle: Message) -> bool:
        """Whether all has come that is known to come, and nothing tells that more may be late."""
        reply = self._replies.get(str(idle.cell))
        if idle.is_anothers:
            return True
        if self._is_followed or reply is None:
            return False
        return idle.cell in self._errors if reply == "error" else self._process.is_warm

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Let the idle status go, unless something has come while nobody looked."""
        loop, self._timer = asyncio.get_running_loop(), None
        is_settled = self._settle()
        if self._idle is None or (self._timer is not None and self._timer.when() > loop.time()):
            return
        self._stop_waiting()
        if is_settled:
            self._release()
        else:
            self._timer = loop.call_later(QUIET, self._look)

    def _release(self) -> None:
        """Send the idle status, and what waits behind it up to the next one that has to wait."""
        self._process.note_warm()
        idle, *behind = self._taken_out()
        self._forward(idle.channel, idle.parts)
        for message in behind:
            self._pass(message)

    def _taken_out(self) -> list[Message]:
        waiting = ([] if self._idle is None else [self._idle]) + list(self._behind)
        self._idle, self._behind = None, deque()
        return waiting

    def close(self) -> list[tuple[str, list[Any]]]:
        """Called when the websocket closes: what waited, in order, with the channels."""
        self._stop_waiting()
        return [(message.channel, message.parts) for message in self._taken_out()]


def _add(known: dict[str, Any], cell: str, value: Any) -> None:
    known[cell] = value
    if len(known) > REMEMBERED:
        del known[next(iter(known))]
