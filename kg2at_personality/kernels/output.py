"""Where a kernel prints to: its own log, by way of a program that keeps that within its bound."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from . import log_writer
from .files import KernelFiles

#: Seconds that the last lines of a kernel that has died may take to its log, and between two looks.
DRAIN_LIMIT, DRAIN_POLL = 2.0, 0.01


class ProcessOutput:
    """What one process of a kernel prints. Each process has its own; `limit` is in bytes, 0 for no bound."""

    def __init__(self, files: KernelFiles, limit: int) -> None:
        self._files, self._limit = files, limit
        self._writer: subprocess.Popen[bytes] | None = None

    @contextmanager
    def opened(self, env: Mapping[str, str]) -> Iterator[int]:
        """Yield the descriptor for stdout and stderr of the process, which has `env`; ours is closed afterwards.

        The log is emptied. Should the process not start, the writer ends by itself. Raises OSError.
        """
        with self._files.open_log() as log:
            if not self._limit:
                yield log.fileno()
                return
            source, sink = os.pipe()
            try:
                try:
                    self._start_writer(source, log.fileno(), env)
                finally:
                    os.close(source)
                yield sink
            finally:
                os.close(sink)

    def _start_writer(self, source: int, log: int, env: Mapping[str, str]) -> None:
        """In a session of its own: what is sent to the kernel's process group, or to the gateway's, is not for it.

        By the kernel's environment it is known for one of the kernel's processes: should somebody else still hold the
        pipe, it is ended with him.
        """
        command = [sys.executable, "-I", "-S", log_writer.__file__, str(self._limit)]
        self._writer = subprocess.Popen(
            command, stdin=source, stdout=log, stderr=subprocess.DEVNULL, env=dict(env), cwd="/", start_new_session=True
        )
        threading.Thread(target=self._writer.wait, name="kernel-log-reaper", daemon=True).start()

    async def drained(self) -> None:
        """Wait until all is in the log that a dead process printed; not for what others print into its pipe."""
        deadline = time.monotonic() + DRAIN_LIMIT
        while self._is_writing() and time.monotonic() < deadline:  # noqa: ASYNC110, a thread waits for it
            await asyncio.sleep(DRAIN_POLL)

    def _is_writing(self) -> bool:
        return self._writer is not None and self._writer.poll() is None
