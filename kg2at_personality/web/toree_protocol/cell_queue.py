"""The cells that wait for a Toree. They are sent one after the other, so that one that fails stops those behind it.

Toree 0.5.0 runs everything that it is sent: it does not know `stop_on_error` of the message specification.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from ...kernels.kernel import GatewayKernel
from ...kernels.message import CONTENT, HEADER, PARENT, parsed
from ..protocol.client_message import Message

#: Seconds after a cell's idle status when the next one is sent though no reply came. Toree 0.5.0 sends none when an
#: error has no message.
REPLY_GRACE = 5.0


class CellQueue:
    """Belongs to one websocket. `send` takes a cell to the kernel, `abort` tells the notebook that it is not run."""

    def __init__(
        self,
        kernel: GatewayKernel,
        send: Callable[[Message], None],
        abort: Callable[[Message], None],
        reply_grace: float = REPLY_GRACE,
    ) -> None:
        self._kernel, self._send, self._abort, self._reply_grace = kernel, send, abort, reply_grace
        self._running: Message | None = None
        self._waiting: deque[Message] = deque()
        self._is_closed = False
        kernel.observe(self._on_state, "execution_state")

    def add(self, cell: Message) -> None:
        """Send an execute_request to the kernel as soon as those before it have ended."""
        if self._is_closed or self._running is None:
            self._run(cell)
        else:
            self._waiting.append(cell)

    def hear(self, channel: str, parts: list[Any]) -> None:
        """Called for each message from the kernel, signature first: the reply to the cell that runs ends it."""
        if self._running is None:
            return
        header, parent, content = (bytes(parts[place]) for place in (HEADER, PARENT, CONTENT))
        is_reply = channel == "shell" and b'"execute_reply"' in header
        is_idle = channel == "iopub" and b'"status"' in header and b'"idle"' in content
        if not (is_reply or is_idle) or parsed(parent).get("msg_id") != self._running.msg_id:
            return
        if is_reply:
            self._end(has_failed=parsed(content).get("status") != "ok")
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(self._reply_grace, self._end_without_reply, self._running)

    def close(self) -> None:
        """Send what waits: the notebook's user expects it to run. Called when the websocket closes."""
        self._kernel.unobserve(self._on_state, "execution_state")
        self._is_closed = True
        while self._waiting:
            self._send(self._waiting.popleft())

    def _run(self, cell: Message) -> None:
        self._running = cell
        self._send(cell)

    def _end(self, has_failed: bool) -> None:
        """Send the next cell, or abort all that wait. Called when the cell that runs has ended."""
        cell, self._running = self._running, None
        if cell is None:
            return
        if has_failed and cell.content.get("stop_on_error", True) and not cell.content.get("silent"):
            while self._waiting:
                self._abort(self._waiting.popleft())
        elif self._waiting:
            self._run(self._waiting.popleft())

    def _end_without_reply(self, cell: Message) -> None:
        if self._running is cell:
            self._end(has_failed=False)

    def _on_state(self, change: Any) -> None:
        """Forget the cells when the kernel's process ends, as other kernels do. Called when the state changes."""
        if change["new"] in ("starting", "dead"):
            self._running = None
            self._waiting.clear()
