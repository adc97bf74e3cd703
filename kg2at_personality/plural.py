"""Nouns behind their numbers, for sentences: 1 core, 2 cores."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """Return the number and what it counts; `many` is the plural if that is not `one` with an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"
