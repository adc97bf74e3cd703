"""A call in a thread of its own, which goes on when the one who waits for it is interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class PendingCall:
    """Calls `function` at once. Its result is whose who waits for it; when nobody does, it is discarded.

    One thread waits at a time. `discard` is called with a result that nobody waits for, in a thread of its own.
    """

    def __init__(self, function: Callable[[], Any], discard: Callable[[Any], None] = lambda result: None) -> None:
        self._function, self._discard = function, discard
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._is_wanted, self.is_discarded = True, False
        self._result: Any = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="kg2at Spark start", daemon=True).start()

    @property
    def is_running(self) -> bool:
        """Whether the call has not ended, or its result is still being discarded."""
        return not self._ended.is_set()

    def result(self) -> Any:
        """Wait for the result and return it, or None if it was discarded. Raises the call's error.

        What interrupts the wait leaves the call as it is, to be waited for again.
        """
        with self._lock:
            self._is_wanted = True
        try:
            self._ended.wait()
        except BaseException:
            self._leave()
            raise
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        result = None
        try:
            result = self._function()
        except BaseException as error:
            self._error = error
        with self._lock:
            self.is_discarded = not self._is_wanted
            if not self.is_discarded:
                self._result = result
        if self.is_discarded:
            self._throw_away(result)
        self._ended.set()

    def _throw_away(self, result: Any) -> None:
        if self._error is None:
            self._discard(result)

    def _leave(self) -> None:
        """Want the result no longer; it may have come at this very moment."""
        with self._lock:
            self._is_wanted = False
            late, self._result = self._result, None
        if late is not None:
            self.is_discarded = True
            threading.Thread(target=self._throw_away, args=[late], daemon=True).start()
