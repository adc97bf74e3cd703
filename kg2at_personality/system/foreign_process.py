"""A process that another one started, handled as if it were a child of this one."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from contextlib import suppress

from .processes import began, exists, handle, has_psutil, is_same

#: The exit status of a process that only its parent knows. No real one: those are 0 to 255, or minus a signal.
UNKNOWN_STATUS = -1000
#: Seconds between two looks at a process that is waited for.
WAIT_POLL = 0.05
#: These go to the process group. All others, as that for a Toree's interrupt, would end the children of a JVM.
GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


class ForeignProcess:
    """Does what subprocess.Popen does, for a process that began at `started`, in seconds since the epoch.

    Whatever else has its pid later is neither waited for nor signalled. The signals for a process group go to `group`,
    as long as the process lives. Without psutil, a clock that is set by more than processes.SAME makes it gone at its
    next signal.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, started: float, group: int | None = None) -> None:
        """Raises OSError when ps can't be run."""
        self.pid, self.started, self.group = pid, started, group
        # From here on psutil knows it by the time since boot, which nobody sets.
        self._process = handle(pid) if has_psutil() else None
        self.returncode = None if is_same(pid, started) else UNKNOWN_STATUS

    def poll(self) -> int | None:
        """Return None while it lives, else UNKNOWN_STATUS."""
        if self.returncode is None and not self._lives():
            self.returncode = UNKNOWN_STATUS
        return self.returncode

    def _lives(self) -> bool:
        if not has_psutil():
            # Polled too often for a ps each time.
            return exists(self.pid)
        return self._process is not None and self._process.is_running() and began(self._process) is not None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, `timeout` seconds at most. Raises subprocess.TimeoutExpired."""
        limit = math.inf if timeout is None else timeout
        deadline = time.monotonic() + limit
        while (status := self.poll()) is None:
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", limit)
            time.sleep(WAIT_POLL)
        return status

    def send_signal(self, signum: int) -> None:
        """Signal it. No-op when it is gone. Raises PermissionError, and OSError when ps can't be run."""
        if self.poll() is not None:
            return
        if not has_psutil() and not is_same(self.pid, self.started):
            self.returncode = UNKNOWN_STATUS
            return
        with suppress(ProcessLookupError):
            if self.group is not None and signum in GROUP_SIGNALS:
                os.killpg(self.group, signum)
            else:
                os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Send SIGTERM, as send_signal does."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL, as send_signal does."""
        self.send_signal(signal.SIGKILL)
