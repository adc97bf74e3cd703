"""SIGINT: ends Spark's jobs, and then the cell.

pyspark's own handler calls the JVM on the connection that is waiting for the job's end; ipykernel's knows no jobs.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

#: Seconds for which a handler waits until the JVM has heard that its jobs are to end.
CANCEL_LIMIT = 5.0


class Jobs(Protocol):
    """What has jobs."""

    @property
    def context(self) -> Any | None: ...


class InterruptHandler:
    """Has SIGINT in the main thread; in other threads each method is a no-op."""

    def __init__(self, jobs: Jobs, limit: float = CANCEL_LIMIT) -> None:
        self._jobs, self._limit = jobs, limit
        self._handler: Callable[..., None] = self._end_jobs

    def begin(self) -> None:
        """End jobs and the cell from now on."""
        self._set(self._end_cell)

    def end(self) -> None:
        """End jobs alone from now on: those of threads that a cell has left."""
        self._set(self._end_jobs)

    @contextlib.contextmanager
    def then(self, after: Any) -> Iterator[None]:
        """End jobs and call another handler inside the block."""

        def handle(signum: int, frame: Any) -> None:
            self._end_jobs()
            after(signum, frame)

        before = self._handler
        self._set(handle)
        try:
            yield
        finally:
            self._handler = before

    def install_again(self) -> None:
        """Take SIGINT back from whoever has it now. Called when pyspark has made a context."""
        self._set(self._handler)

    def _set(self, handler: Callable[..., None]) -> None:
        if threading.current_thread() is threading.main_thread():
            self._handler = handler
            signal.signal(signal.SIGINT, handler)

    def _end_cell(self, signum: int = 0, frame: Any = None) -> None:
        self._end_jobs()
        raise KeyboardInterrupt

    def _end_jobs(self, signum: int = 0, frame: Any = None) -> None:
        """Cancel all jobs from another thread, which has a connection of its own to the JVM."""
        context = self._jobs.context
        if context is None:
            return
        thread = threading.Thread(target=_cancel, args=[context], name="kg2at interrupt", daemon=True)
        thread.start()
        thread.join(self._limit)


def _cancel(context: Any) -> None:
    with contextlib.suppress(Exception):
        context.cancelAllJobs()
