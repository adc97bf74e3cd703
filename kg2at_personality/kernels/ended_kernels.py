"""The kernels that have ended: their ids, whose they were, and of those that were culled the reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone

from ..errors import CulledKernel

#: How many ids are remembered, so that a late DELETE of one is no error.
REMEMBERED = 10_000
#: Seconds for which a client of a culled kernel is told the reason.
TOLD_FOR = 86_400.0


class EndedKernels:
    """Remembers the kernels that ended last, in memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: Id -> why it was culled, "" if it was not; when it ended; whose it was.
        self._ended: dict[str, tuple[str, float, str]] = {}

    def __contains__(self, kernel_id: object) -> bool:
        return kernel_id in self._ended

    def add(self, kernel_id: str, owner: str = "", reason: str = "") -> None:
        """Remember a kernel, also when another one had its id before. `reason` tells why it was culled."""
        self._ended.pop(kernel_id, None)
        self._ended[kernel_id] = reason, self._clock(), owner
        while len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]

    def owner_of(self, kernel_id: str) -> str | None:
        """Return whose kernel it was; None for one that is not remembered."""
        return self._ended[kernel_id][2] if kernel_id in self._ended else None

    def check(self, kernel_id: str) -> None:
        """Raise CulledKernel for one that was culled within the last day."""
        reason, ended_at, _ = self._ended.get(kernel_id, ("", 0.0, ""))
        if reason and self._clock() - ended_at < TOLD_FOR:
            raise CulledKernel(reason)


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
