"""The time that reading kernels' messages may take in one turn of the event loop, so that others have their turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import zmq
from zmq.eventloop.zmqstream import ZMQStream

#: Seconds that all readers together may take in one turn of the loop. Each handles one message anyway.
TURN = 0.01


class LoopTurn:
    """How long messages have been handled in this turn of the loop, by all readers together; `seconds` bound it."""

    def __init__(self, seconds: float = TURN) -> None:
        self.seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = 0.0

    def is_over(self) -> bool:
        """Return whether others have to have their turn first."""
        now, loop = time.monotonic(), asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._end = loop, now + self.seconds
            loop.call_soon(self._end_turn)
        return now >= self._end

    def _end_turn(self) -> None:
        self._loop = None


#: One for the whole process, as all readers share the loop.
turn = LoopTurn()


def more_from(stream: ZMQStream) -> Iterator[list[Any]]:
    """Yield what else waits at the stream while this turn lasts; by itself it hands over one message in each."""
    while not turn.is_over() and not stream.closed():
        try:
            yield stream.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
