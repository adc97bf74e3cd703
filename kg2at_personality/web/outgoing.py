"""What goes from a kernel to one websocket: at once, or when the notebook has taken what went before.

A notebook that reads slowly gets what it can; the rest waits in a buffer that is bounded. So does what a kernel said
while nobody was connected.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..kernels.loop_turn import turn
from ..kernels.output_buffer import OutputBuffer
from .notebook import Notebook


class Outgoing:
    """Belongs to one websocket. `buffer` is what waited for it, and what waits from now on."""

    def __init__(self, notebook: Notebook, buffer: OutputBuffer) -> None:
        self._notebook, self._buffer = notebook, buffer
        self._is_open = self._is_pumping = False

    @property
    def waits(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._buffer)

    def open(self) -> None:
        """Begin, with what waited. Until then everything waits."""
        self._is_open = True
        self._pump()

    def take(self, channel: str, message: list[Any]) -> None:
        """Called for each message from the kernel. What waits in the buffer is bounded by it, not by its rate."""
        if self._is_open and not self._buffer and self._notebook.is_ready:
            if not self._notebook.refuses(channel, message):
                self._notebook.send(channel, message)
            return
        self._buffer.append((channel, message))
        if self._is_open and not self._is_pumping:
            self._pump()

    def close(self) -> OutputBuffer:
        """Called when the websocket closes: what waits, where it goes on to wait."""
        self._is_open = False
        return self._buffer

    def _pump(self) -> None:
        """Send what waits, until the notebook takes no more or this turn is over."""
        with self._notebook.frames.together():
            while self._is_open and self._buffer and self._notebook.is_ready:
                self._send_next()
                if turn.is_over():
                    break
        self._is_pumping = self._is_open and bool(self._buffer)
        if self._is_pumping and self._notebook.is_ready:
            asyncio.get_running_loop().call_soon(self._pump)
        elif self._is_pumping:
            self._notebook.when_ready(self._pump)

    def _send_next(self) -> None:
        for omitted in self._buffer.pop_omitted():
            self._notebook.tell(omitted)
        if len(self._buffer):
            self._notebook.send(*self._buffer.pop())
