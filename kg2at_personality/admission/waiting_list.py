"""The list of those who wait for cores, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..spark.cluster import needed
from .decisions import Waiter


@dataclass(slots=True, eq=False)
class Entry:
    """A waiter in the list, with the future that its `acquire` awaits and the timer that ends its wait."""

    waiter: Waiter
    admitted: asyncio.Future[None]
    timer: asyncio.TimerHandle | None = None


class WaitingList:
    """At most one entry for each kernel id. For the running event loop only."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, kernel_id: str) -> bool:
        return kernel_id in self._entries

    def __getitem__(self, kernel_id: str) -> Entry:
        return self._entries[kernel_id]

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    @property
    def waiters(self) -> list[Waiter]:
        """Those about whom nothing is decided yet; one that was cancelled is in the list until its task runs."""
        return [entry.waiter for entry in self._entries.values() if not entry.admitted.done()]

    @property
    def is_blocked(self) -> bool:
        """Whether the first one has been examined and has to wait, so that all others do."""
        return next((entry.waiter.examined for entry in self._entries.values()), False)

    def add(self, waiter: Waiter, seconds: float, expire: Callable[[Entry], None]) -> Entry:
        """Put the waiter at the end; `expire` is called if it is still in the list after so many seconds."""
        loop = asyncio.get_running_loop()
        entry = self._entries[waiter.request.kernel_id] = Entry(waiter, loop.create_future())
        entry.timer = loop.call_later(seconds, expire, entry)
        return entry

    def remove(self, entry: Entry) -> None:
        """Take the entry out of the list. Idempotent."""
        kernel_id = entry.waiter.request.kernel_id
        if self._entries.get(kernel_id) is entry:
            del self._entries[kernel_id]
        if entry.timer is not None:
            entry.timer.cancel()

    def ahead(self, entry: Entry) -> int:
        """Return how many are in the list before this one; 0 if it is not in it."""
        return next((ahead for ahead, other in enumerate(self._entries.values()) if other is entry), 0)

    def status(self, now: float, ahead: int) -> list[dict[str, Any]]:
        """Return a row for each waiter, with so many `ahead` of all; `now` is in seconds of the queue's clock."""
        return [
            {
                "kernel_id": entry.waiter.request.kernel_id,
                "name": entry.waiter.request.kernel_name,
                "user": entry.waiter.request.user,
                "cores": needed(entry.waiter.executors),
                "waited_s": round(now - entry.waiter.since, 3),
                "position": position,
                "app_id": None,
            }
            for position, entry in enumerate(self._entries.values(), ahead + 1)
        ]
