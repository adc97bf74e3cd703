"""An event loop whose time passes only when nothing else is left to do: waits of minutes take no time at all."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Instead of waiting it moves the clock. There must be no real sockets to wait for."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("Everybody waits for somebody else")
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """`loop.time` is the clock to inject."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


async def ticks(count: int = 12) -> None:
    """Let all that can run without time passing run."""
    for _ in range(count):
        await asyncio.sleep(0)
