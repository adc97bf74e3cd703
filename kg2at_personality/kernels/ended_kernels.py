"""The kernels that have ended: their ids, whose they were, and of those that were culled the reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import NamedTuple

from ..errors import CulledKernel

#: How many ids are remembered, so that a late DELETE of one is no error.
REMEMBERED = 10_000
#: Seconds for which a client of a culled kernel is told the reason.
TOLD_FOR = 86_400.0


class _Ended(NamedTuple):
    """One of them: whose it was, why it was culled ("" if it was not), and when it ended, in seconds of the clock."""

    owner: str
    reason: str
    since: float


class EndedKernels:
    """Remembers the kernels that ended last, in memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ended: dict[str, _Ended] = {}

    def __contains__(self, kernel_id: object) -> bool:
        return kernel_id in self._ended

    def add(self, kernel_id: str, owner: str = "", reason: str = "") -> None:
        """Remember a kernel, also when another one had its id before. `reason` tells why it was culled."""
        self._ended.pop(kernel_id, None)
        self._ended[kernel_id] = _Ended(owner, reason, self._clock())
        while len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]

    def owner_of(self, kernel_id: str) -> str | None:
        """Return whose kernel it was; None for one that is not remembered."""
        ended = self._ended.get(kernel_id)
        return None if ended is None else ended.owner

    def check(self, kernel_id: str) -> None:
        """Raise CulledKernel for one that was culled within the last day."""
        ended = self._ended.get(kernel_id)
        if ended is not None and ended.reason and self._clock() - ended.since < TOLD_FOR:
            raise CulledKernel(ended.reason)


def cull_reason(is_dead: bool, unused_for: int) -> str:
    """Return what is told of a kernel that is culled now: it is dead, or nobody has used it for so many seconds."""
    why = "it was dead" if is_dead else f"it had not been used for {_span(unused_for)} (cull_idle_timeout)"
    return f"This kernel was shut down at {datetime.now(timezone.utc):%H:%M} UTC: {why}. Start another one."


def _span(seconds: int) -> str:
    """Return a time in its largest unit that is whole: "1 h", "90 min", "45 s"."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
