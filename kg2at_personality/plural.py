"""Numbers with what they count, for sentences: 1 core, 2 cores, 7 s, 10 min."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """Return the number and what it counts; `many` is the plural if that is not `one` with an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def span(seconds: float) -> str:
    """Return a time as a person says it: 119 s, 2 min, 2.5 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
