"""What a user is to know of Spark that happened beside the cells."""

from __future__ import annotations

import sys
from collections import deque


class Notices:
    """Sentences that wait for a cell: the one that runs shows them when it ends, or else the next when it begins."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque(maxlen=20)

    def add(self, sentence: str) -> None:
        """Have a sentence shown. Any thread may call it."""
        self._waiting.append(sentence)

    def show(self) -> bool:
        """Print what waits, below the cell that runs now. Return whether there was anything."""
        is_any = bool(self._waiting)
        while self._waiting:
            print(self._waiting.popleft(), file=sys.stderr)
        return is_any
