"""Reading what kernels send: many messages in one turn of the loop, within a time, so that others have their turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import zmq

#: Seconds that all readers together may take in one turn of the loop. Each handles one message anyway.
TURN = 0.01


class Turn:
    """How long messages have been handled in this turn of the loop, by all readers together."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = 0.0

    def is_over(self) -> bool:
        """Whether others have to have their turn first."""
        now, loop = time.monotonic(), asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._end = loop, now + TURN
            loop.call_soon(self._forget)
        return now >= self._end

    def _forget(self) -> None:
        self._loop = None


turn = Turn()


def more_from(stream: Any) -> Iterator[list[Any]]:
    """What else waits at a ZMQStream, while this turn lasts; by itself it hands over one message in each."""
    while not turn.is_over() and not stream.closed():
        try:
            yield stream.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
