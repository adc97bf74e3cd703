"""A call in a thread of its own, which goes on when the one who waits for it is interrupted."""

from __future__ import annotations

import threading
from typing import Any, Callable


class PendingCall:
    """Calls `function` at once. Its result is kept until somebody asks for it.

    With `discard` only while somebody waits: else it is called with the result, in a thread of its own, and the result
    is None. One thread waits at a time, and who made the call waits first.
    """

    def __init__(
        self, function: Callable[[], Any], discard: Callable[[Any], None] | None = None, patience: float = 1.0
    ) -> None:
        self._function, self._discard, self._patience = function, discard, patience
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._is_wanted = True
        self._result: Any = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="kg2at Spark start", daemon=True).start()

    @property
    def is_running(self) -> bool:
        """Whether the call has not ended, or its result is still being discarded."""
        return not self._ended.is_set()

    def result(self, on_delay: Callable[[], None] = lambda: None) -> Any:
        """Wait for the result and return it, or None if it was discarded. Raises the call's error.

        What interrupts the wait leaves the call as it is, to be waited for again. `on_delay` is called when it takes
        longer than `patience` seconds.
        """
        with self._lock:
            self._is_wanted = True
        try:
            if not self._ended.wait(self._patience):
                on_delay()
            self._ended.wait()
        except BaseException:
            self._leave()
            raise
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            result = self._function()
        except BaseException as error:
            self._error, result = error, None
        with self._lock:
            discard = None if self._is_wanted or result is None else self._discard
            self._result = result if discard is None else None
        if discard is not None:
            discard(result)
        self._ended.set()

    def _leave(self) -> None:
        """Want the result no longer; it may have come at this very moment."""
        with self._lock:
            self._is_wanted = False
            discard, late = self._discard, self._result
            if discard is None or late is None:
                return
            self._result = None
        threading.Thread(target=discard, args=[late], name="kg2at Spark stop", daemon=True).start()
