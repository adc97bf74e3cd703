"""A line below the cell while it waits for Spark to start."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Callable


class ProgressLine:
    """Shows a line where nothing stands yet, and clears it, so that a saved notebook doesn't have it."""

    def __init__(self, show: Callable[[str], None], clear: Callable[[], None]) -> None:
        self._show, self._clear = show, clear
        self._may_show = self._is_shown = False

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Let a line be shown inside the block: the cell has no output yet."""
        self._may_show = True
        try:
            yield
        finally:
            self._may_show = False
            if self._is_shown:
                self._is_shown = False
                self._clear()

    def tell(self, text: str) -> None:
        """Show the line. No-op elsewhere, and in a thread that no cell waits for."""
        if self._may_show and not self._is_shown and threading.current_thread() is threading.main_thread():
            self._is_shown = True
            self._show(text)
