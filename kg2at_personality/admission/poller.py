"""When the master is asked: at once, at each interval, or not at all. One task, and never two requests at a time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

LAZY = 5  # intervals between polls while nobody lacks cores: they only tell what has become of the leases
WATCHED = 30.0  # seconds for which somebody who has looked once may look on
DENSE = 10  # polls in one interval at most, however often those who wait are to be examined at once


class Poller:
    """Calls `poll` while `wanted()`: every `interval` seconds while `pressing()`, else LAZY times more seldom.

    `poll` raises nothing. The task ends when nothing is wanted and starts again with `look`.
    """

    def __init__(
        self,
        poll: Callable[[], Awaitable[None]],
        interval: float,
        *,
        wanted: Callable[[], bool],
        pressing: Callable[[], bool],
    ) -> None:
        self._poll, self._interval, self._wanted, self._pressing = poll, interval, wanted, pressing
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._watched_until = -math.inf
        self.asking = False

    @property
    def is_watched(self) -> bool:
        """Whether somebody has called `watch` just now."""
        return asyncio.get_running_loop().time() < self._watched_until

    def watch(self) -> None:
        """Be wanted for the next WATCHED seconds, where `wanted` takes `is_watched` for a reason."""
        was_watched = self.is_watched
        self._watched_until = asyncio.get_running_loop().time() + WATCHED
        self.look(at_once=not was_watched)

    def look(self, *, at_once: bool) -> None:
        """Go on polling if it is wanted. `at_once`: with a poll that starts after this call."""
        if not self._wanted():
            return
        if at_once:
            self._hurry.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """End the task. Only `look` starts it again. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._wanted():
            self._hurry.clear()
            self.asking = True
            try:
                await self._poll()
            finally:
                self.asking = False
            if self._pressing():
                await asyncio.sleep(self._interval / DENSE)
            if self._wanted():
                await self._pause()

    async def _pause(self) -> None:
        """Wait until the next poll is due, or until `look` asks for one at once."""
        rest = self._interval * (1 - 1 / DENSE) if self._pressing() else self._interval * LAZY
        timer = asyncio.get_running_loop().call_later(rest, self._hurry.set)
        try:
            await self._hurry.wait()
        finally:
            timer.cancel()
