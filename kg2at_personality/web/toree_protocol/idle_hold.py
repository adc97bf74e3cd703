"""A cell's idle status, held until what belongs before it has come.

Toree sends a cell's reply, its output and its idle status by different actors (KernelMessageRelay, StatusDispatch), so
output can come last. A notebook takes a cell for ended when its idle status comes, and drops what comes later. A reply
does not say whether a result will come; one with an error says that an error message will. Measured in 1,150 cells one
after the other on a busy machine: output up to 2.1 ms after both reply and idle, the reply up to 15 ms after idle. In
1,500 others output came later than 5 ms three times: while it collects garbage, a JVM stands still, its heartbeat too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

#: Seconds that must pass without a message of the cell, while the kernel does not stand still, before its idle status
#: is sent.
QUIET = 0.003
#: Seconds that an idle status waits at most for what may be late: for the error that the cell's reply announces; when
#: the next cell runs already, as Toree is busy with that (whoever sent it waits for no idle status); and for the first
#: cell of a process, as a JVM loads classes for a result but not for an idle status.
LIMIT = 0.1
#: Seconds that it waits at most for a kernel that stands still: for the reply and the heartbeat, which any kernel sends
#: that lives. On a machine with nine times as many busy threads as processors a result came 0.18 s after idle.
PATIENCE = 2.0
#: The number of cells of which it is remembered what has come. Those that a notebook runs one after the other overlap.
REMEMBERED = 20


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(frozen=True)
class KernelMessage:
    """A kernel's message, and what it says. `cell` is the id of the execute_request that it answers, or None."""

    channel: str
    parts: list[Any]
    cell: str | None = None
    is_idle: bool = False
    is_error: bool = False
    is_result: bool = False
    #: Whether another notebook sent the request. The reply goes to that one.
    is_anothers: bool = False
    #: The status of an execute_reply; "" for other messages.
    reply: str = ""
    #: When it came, in seconds of the loop's clock.
    at: float = field(default_factory=_now, compare=False)


class RunsCells(Protocol):
    """What is needed here of the kernel."""

    @property
    def has_run_cell(self) -> bool:
        """Whether its present process has run a cell of a notebook to its end."""

    def note_cell_run(self) -> None:
        """Called when it has. Idempotent."""


class IdleHold:
    """Belongs to one websocket. `forward` sends a message on to the notebook.

    `flush_iopub` takes what the kernel has published by now, and returns whether all of that was given to `take`;
    `ask` calls back when the kernel has answered its heartbeat. The times are QUIET, LIMIT and PATIENCE.
    """

    def __init__(
        self,
        forward: Callable[[str, list[Any]], None],
        flush_iopub: Callable[[], bool],
        ask: Callable[[Callable[[], None]], None],
        kernel: RunsCells,
        quiet: float = QUIET,
        limit: float = LIMIT,
        patience: float = PATIENCE,
    ) -> None:
        self._forward, self._flush_iopub, self._ask, self._kernel = forward, flush_iopub, ask, kernel
        self.quiet, self.limit, self.patience = quiet, limit, patience
        self._idle: KernelMessage | None = None
        self._is_followed = False
        #: When the last message of the cell came, and when the kernel answered its heartbeat after the idle status.
        self._last = 0.0
        self._ran: float | None = None
        self._behind: deque[KernelMessage] = deque()
        self._replies: dict[str, str] = {}
        self._errors: dict[str, bool] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def holds(self) -> bool:
        """Whether a cell's idle status waits."""
        return self._idle is not None

    @property
    def due(self) -> float | None:
        """When the idle status is to be sent, in seconds of the loop's clock; None when none waits."""
        return None if self._timer is None else self._timer.when()

    @property
    def remembered(self) -> tuple[int, int]:
        """Of how many cells the reply is remembered, and of how many an error."""
        return len(self._replies), len(self._errors)

    def take(self, message: KernelMessage) -> None:
        """Send on a message, now or after the idle status that waits. Called for each, in order."""
        self._remember(message)
        self._pass(message)

    def _remember(self, message: KernelMessage) -> None:
        if message.cell is None:
            return
        if message.reply:
            _add(self._replies, message.cell, message.reply)
        if message.is_result:
            self._kernel.note_cell_run()
        if message.is_error:
            _add(self._errors, message.cell, True)

    def _pass(self, message: KernelMessage) -> None:
        idle = self._idle
        if idle is None and message.is_idle and message.cell is not None:
            self._hold(message)
        elif idle is None or message.channel != "iopub" or message.cell == idle.cell:
            self._forward(message.channel, message.parts)
        else:
            self._behind.append(message)
        self._follow(message)

    def _hold(self, idle: KernelMessage) -> None:
        self._idle, self._is_followed, self._ran = idle, False, None
        self._ask(partial(self._on_heartbeat, idle))

    def _on_heartbeat(self, idle: KernelMessage) -> None:
        """Called when the kernel has answered its heartbeat, after it sent `idle`."""
        if self._idle is idle:
            self._ran = _now()
            self._wait(idle)

    def _follow(self, message: KernelMessage) -> None:
        """Wait anew, or no longer, as `message` asks for the idle status that waits."""
        idle = self._idle
        if idle is None or message.cell is None:
            return
        if message.cell == idle.cell:
            self._last = message.at
        else:
            self._is_followed = True
        self._wait(idle)

    def _wait(self, idle: KernelMessage) -> None:
        """Set the timer: QUIET seconds after the last message of the cell, if nothing is awaited longer."""
        since = max(idle.at, self._ran or 0.0)
        due = since + (self.patience if self._stands_still(idle) else self.limit)
        if self._ran is not None and self._is_whole(idle):
            due = min(max(self._last, self._ran) + self.quiet, due)
        if self._timer is None or self._timer.when() != due:
            self._stop_waiting()
            self._timer = asyncio.get_running_loop().call_at(due, self._look)

    def _stands_still(self, idle: KernelMessage) -> bool:
        """Return whether the kernel has not sent yet what any kernel sends. One that runs the next cell does not."""
        lacks_reply = not idle.is_anothers and idle.cell not in self._replies
        return not self._is_followed and (self._ran is None or lacks_reply)

    def _is_whole(self, idle: KernelMessage) -> bool:
        """Return whether all has come that is known to come, and nothing suggests that more may be late."""
        reply = self._replies.get(str(idle.cell))
        if idle.is_anothers:
            return True
        if self._is_followed or reply is None:
            return False
        return idle.cell in self._errors if reply == "error" else self._kernel.has_run_cell

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Send the idle status, unless flushing the iopub socket brings something that it has to wait for."""
        loop, self._timer = asyncio.get_running_loop(), None
        is_flushed = self._flush_iopub()
        if self._idle is None or (self._timer is not None and self._timer.when() > loop.time()):
            return
        self._stop_waiting()
        if is_flushed:
            self._release()
        else:
            self._timer = loop.call_later(self.quiet, self._look)

    def _release(self) -> None:
        """Send the idle status, and what waits behind it up to the next one that has to wait."""
        self._kernel.note_cell_run()
        idle, *behind = self._taken_out()
        self._forward(idle.channel, idle.parts)
        for message in behind:
            self._pass(message)

    def _taken_out(self) -> list[KernelMessage]:
        waiting = ([] if self._idle is None else [self._idle]) + list(self._behind)
        self._idle, self._behind = None, deque()
        return waiting

    def close(self) -> list[tuple[str, list[Any]]]:
        """Return what waits, in order, with its channels. Called when the websocket closes."""
        self._stop_waiting()
        return [(message.channel, message.parts) for message in self._taken_out()]


def _add(known: dict[str, Any], cell: str, value: Any) -> None:
    known[cell] = value
    if len(known) > REMEMBERED:
        del known[next(iter(known))]
