"""When the master is asked: at once, each interval, or not at all. One task, and never two questions at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LAZY = 5  # intervals between polls while nobody waits: they only tell the status what became of promises
DENSE = 10  # polls in one interval at most, however often those who wait are to be looked at at once


class Poller:
    """Calls `poll` while `wanted()`: each `interval` seconds while somebody waits, else LAZY times more seldom.

    `poll` raises nothing. The task ends when nothing is wanted and starts again with `look`.
    """

    def __init__(
        self,
        poll: Callable[[], Awaitable[None]],
        interval: float,
        *,
        wanted: Callable[[], bool],
        waiting: Callable[[], bool],
    ) -> None:
        self._poll, self._interval, self._wanted, self._waiting = poll, interval, wanted, waiting
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.asking = False

    def look(self, *, at_once: bool) -> None:
        """See that polls go on if they are wanted. `at_once`: with a question asked from now on."""
        if not self._wanted():
            return
        if at_once:
            self._hurry.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """End the task. Nothing starts it again but `look`."""
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
            if self._waiting():
                await asyncio.sleep(self._interval / DENSE)
            if self._wanted():
                await self._pause()

    async def _pause(self) -> None:
        """Until the next poll is due or somebody is in a hurry."""
        rest = self._interval * (1 - 1 / DENSE) if self._waiting() else self._interval * LAZY
        timer = asyncio.get_running_loop().call_later(rest, self._hurry.set)
        try:
            await self._hurry.wait()
        finally:
            timer.cancel()
