"""The last failures and refusals, in memory: why a kernel did not start, or is gone."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timezone
from typing import Any, NamedTuple

from .journal import BecameZombie, Died, Entry, KernelFacts, RestartResult, StartResult
from .outcomes import DIED
from .user import GatewayUser

#: Failures that are remembered of each owner and shown to one user, owners of whom they are, characters of a message.
SHOWN, OWNERS, LONGEST = 50, 50, 2000


class Failure(NamedTuple):
    """One of them, at `time` (UTC). `what` is refused, failed, died or zombie; `reason` one word, `message` a sentence.

    The message is what the kernel's client was told: without secrets.
    """

    order: int
    time: datetime
    kernel: KernelFacts
    what: str
    reason: str
    message: str

    def row(self) -> dict[str, Any]:
        """Return what the status shows of it."""
        kernel = self.kernel
        about = {"time": self.time, "kernel_id": kernel.kernel_id, "name": kernel.kernel_name, "user": kernel.user}
        return about | {"what": self.what, "reason": self.reason, "message": self.message}


class Failures:
    """Remembers them of each owner, so that those of one push out nobody else's."""

    def __init__(self) -> None:
        self._by_owner: dict[str, deque[Failure]] = {}
        self._count = 0

    def hear(self, entry: Entry) -> None:
        """Called by the journal with each entry."""
        if isinstance(entry, StartResult | RestartResult) and entry.outcome.kind in ("refused", "failed"):
            self._add(entry.kernel, entry.outcome.kind, entry.outcome.reason, entry.message)
        elif isinstance(entry, Died) and not entry.at_start:
            self._add(entry.kernel, "died", "restarted" if entry.is_restarted else DIED.reason, entry.message)
        elif isinstance(entry, BecameZombie):
            self._add(entry.kernel, "zombie", "zombie", entry.message)

    def _add(self, kernel: KernelFacts, what: str, reason: str, message: str) -> None:
        self._count += 1
        now = datetime.now(timezone.utc)
        # The owner who had one last comes last, and the first goes.
        own = self._by_owner.pop(kernel.owner, None) or deque(maxlen=SHOWN)
        self._by_owner[kernel.owner] = own
        own.append(Failure(self._count, now, kernel, what, reason, message[:LONGEST]))
        if len(self._by_owner) > OWNERS:
            del self._by_owner[next(iter(self._by_owner))]

    def status(self, user: GatewayUser) -> list[dict[str, Any]]:
        """Return a row for each of the last that `user` sees, the newest first: their own, or everybody's."""
        seen = [each for owner, own in self._by_owner.items() if user.sees(owner) for each in own]
        return [each.row() for each in sorted(seen, reverse=True)[:SHOWN]]
