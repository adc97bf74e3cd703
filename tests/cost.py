"""What code costs, counted in calls of functions: the same on each machine, however busy it is."""

from __future__ import annotations

import gc
import sys
from typing import Any


class Calls:
    """While it is entered, `count` is how many functions, Python's and C's, this thread has called."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Calls:
        gc.disable()  # what earlier tests left for it would be counted too
        sys.setprofile(self._event)
        return self

    def __exit__(self, *args: object) -> None:
        sys.setprofile(None)
        gc.enable()

    def _event(self, frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            self.count += 1
