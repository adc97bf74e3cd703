"""The list of those who wait for cores, in the order in which they are served.

With "fifo" that is the order in which they came. With "fair" the users take turns, and each user's kernels keep the
order in which they came: first comes the first of each user, then the second of each user, and so on. Who has nothing
in the list comes last in the rotation of the users; whose kernel leaves from the head of the list, for whatever reason,
has had a turn and goes there, too. Hence:

- The head keeps its place until it leaves, so that a large request can't be passed by small ones for ever, and the
  order of the others does not change when it does.
- Between two of one user's turns each other user has one at most.
- Of those who come later, none is served before another user's first, and k - 1 of one user at most before the k-th;
  one more where that user waited already, and what was ahead is cancelled: its next has its place then.
- When more would wait than may, the last of all is refused: never the first of a user for what comes later.
- A user who holds the head with a request that never fits has to let one of each other user follow.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
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
    """At most one entry for each kernel id. `is_fair`: the users take turns. For the running event loop only."""

    def __init__(self, is_fair: bool = False) -> None:
        self._is_fair = is_fair
        self._entries: dict[str, Entry] = {}
        #: The rotation: what each user has in the list. All are as one user if they don't take turns.
        self._users: OrderedDict[str, list[Entry]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, kernel_id: str) -> bool:
        return kernel_id in self._entries

    def __getitem__(self, kernel_id: str) -> Entry:
        return self._entries[kernel_id]

    @property
    def entries(self) -> list[Entry]:
        """All of them, in their order."""
        rounds = [(number, entry) for entries in self._users.values() for number, entry in enumerate(entries)]
        return [entry for _, entry in sorted(rounds, key=itemgetter(0))]

    @property
    def waiters(self) -> list[Waiter]:
        """All of them, in their order."""
        return [entry.waiter for entry in self.entries]

    @property
    def is_blocked(self) -> bool:
        """Whether the first one has been examined and has to wait, so that all others do."""
        return next((entries[0].waiter.examined for entries in self._users.values()), False)

    def add(self, waiter: Waiter, seconds: float, expire: Callable[[Entry], None]) -> Entry:
        """Put the waiter behind the others of its user; `expire` is called if it is in the list after so many seconds.

        Its kernel id has no other entry.
        """
        loop = asyncio.get_running_loop()
        entry = self._entries[waiter.request.kernel_id] = Entry(waiter, loop.create_future())
        self._users.setdefault(self._user(entry), []).append(entry)
        entry.timer = loop.call_later(seconds, expire, entry)
        return entry

    def remove(self, entry: Entry) -> None:
        """Take the entry out of the list. If it is the head its user has had a turn. Idempotent."""
        kernel_id, user = entry.waiter.request.kernel_id, self._user(entry)
        if self._entries.get(kernel_id) is entry:
            del self._entries[kernel_id]
            entries = self._users[user]
            is_head = entries[0] is entry and next(iter(self._users)) == user
            entries.remove(entry)
            if not entries:
                del self._users[user]
            elif is_head:
                self._users.move_to_end(user)
        if entry.timer is not None:
            entry.timer.cancel()

    def remove_cancelled(self) -> None:
        """Take out those whose clients have hung up, and whose tasks have not run since."""
        for entry in [entry for entry in self._entries.values() if entry.admitted.cancelled()]:
            self.remove(entry)

    def ahead(self, entry: Entry) -> int:
        """Return how many are in the list before this one; 0 if it is not in it."""
        return next((ahead for ahead, other in enumerate(self.entries) if other is entry), 0)

    def _user(self, entry: Entry) -> str:
        return entry.waiter.request.user if self._is_fair else ""

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
            for position, entry in enumerate(self.entries, ahead + 1)
        ]
