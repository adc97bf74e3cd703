"""Kernels that were shut down and whose processes live on, because the system refuses to signal them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from logging import Logger
from typing import Any


@dataclass(frozen=True)
class Zombie:
    """One of them: `pid` lives on `since` a shutdown, for `reason`. `kill` tries again; True when it is gone."""

    kernel_id: str
    name: str
    pid: int | None
    since: datetime
    reason: str
    kill: Callable[[], Awaitable[bool]]


class Zombies:
    """Kills them again and again, every `retry` seconds; when one is gone, `gone` is called with its kernel id."""

    def __init__(self, gone: Callable[[str], None], retry: Callable[[], float], log: Logger) -> None:
        self._gone, self._retry_pause, self._log = gone, retry, log
        self._all: dict[str, Zombie] = {}
        self._task: asyncio.Task[None] | None = None

    def __contains__(self, kernel_id: object) -> bool:
        return kernel_id in self._all

    def __len__(self) -> int:
        return len(self._all)

    def add(self, zombie: Zombie) -> None:
        """Take care of `zombie` from now on."""
        self._log.error("Kernel %s (process %s) can't be ended: %s", zombie.kernel_id, zombie.pid, zombie.reason)
        self._all[zombie.kernel_id] = zombie
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._retry())

    async def _retry(self) -> None:
        while self._all:
            await asyncio.sleep(self._retry_pause())
            for zombie in list(self._all.values()):
                if await self._kill(zombie):
                    del self._all[zombie.kernel_id]
                    self._log.info("Kernel %s (process %s) is gone at last", zombie.kernel_id, zombie.pid)
                    self._gone(zombie.kernel_id)

    async def _kill(self, zombie: Zombie) -> bool:
        try:
            return await zombie.kill()
        except Exception:
            self._log.exception("Ending process %s failed; it is tried again", zombie.pid)
            return False

    def status(self) -> list[dict[str, Any]]:
        """Return a row for each."""
        shown = ("kernel_id", "name", "pid", "since", "reason")
        return [{name: getattr(zombie, name) for name in shown} for zombie in self._all.values()]

    async def close(self) -> None:
        """Give up on them: the gateway ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
