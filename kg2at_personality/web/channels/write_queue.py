"""What goes to one notebook: written at once, or when the system has taken what was written before.

For a notebook that reads slowly the rest waits in a buffer that is bounded, as does what a kernel sends while no
websocket is open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ...kernels.loop_turn import turn
from ...kernels.output_buffer import OutputBuffer
from .notebook import Notebook


class WriteQueue:
    """Belongs to one websocket.

    `write` writes a message to the notebook. `buffer` is what waited for the websocket, and what waits from now on.
    `is_turn_over` tells when others have to have their turn of the loop.
    """

    def __init__(
        self,
        notebook: Notebook,
        write: Callable[[str, list[Any]], None],
        buffer: OutputBuffer,
        is_turn_over: Callable[[], bool] = turn.is_over,
    ) -> None:
        self._notebook, self._write, self._buffer, self._is_turn_over = notebook, write, buffer, is_turn_over
        self._is_open = self._is_pumping = False

    @property
    def buffer(self) -> OutputBuffer:
        """What waits."""
        return self._buffer

    @property
    def is_open(self) -> bool:
        """Whether messages are written."""
        return self._is_open

    @property
    def waits(self) -> bool:
        """Whether a message waits to be written."""
        return bool(self._buffer)

    def open(self) -> None:
        """Begin to write, with what has waited. Until then everything waits."""
        self._is_open = True
        self._pump()

    def take(self, channel: str, message: list[Any]) -> None:
        """Write a message, or let it wait. What waits is bounded by the buffer, not by jupyter_server's rate limits."""
        if self._is_open and not self._buffer and self._notebook.is_ready:
            if not self._notebook.refuses(channel, message):
                self._write(channel, message)
            return
        self._buffer.append((channel, message))
        if self._is_open and not self._is_pumping:
            self._pump()

    def close(self) -> OutputBuffer:
        """Write no more; return what waits. Called when the websocket closes."""
        self._is_open = False
        return self._buffer

    def _pump(self) -> None:
        """Write what waits, until the system takes no more or the turn is over."""
        with self._notebook.frames.together():
            while self._is_open and self._buffer and self._notebook.is_ready:
                self._write_next()
                if self._is_turn_over():
                    break
        self._is_pumping = self._is_open and bool(self._buffer)
        if self._is_pumping and self._notebook.is_ready:
            asyncio.get_running_loop().call_soon(self._pump)
        elif self._is_pumping:
            self._notebook.when_ready(self._pump)

    def _write_next(self) -> None:
        for omitted in self._buffer.pop_omitted():
            self._notebook.tell(omitted)
        if len(self._buffer):
            self._write(*self._buffer.pop())
