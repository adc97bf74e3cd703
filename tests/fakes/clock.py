"""An event loop with a clock of its own, which moves on when nothing is left to do: waits take no time."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Moves the clock instead of waiting. There must be no real sockets to wait for."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("Everybody waits for somebody else")
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose `time` is the clock to inject."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


async def ticks(count: int = 20) -> None:
    """Let the event loop turn `count` times: what needs no time to pass has run then.

    For what is not to happen, and for a turn that is what is tested. What is to happen is waited for; see wait.py.
    """
    for _ in range(count):
        await asyncio.sleep(0)
