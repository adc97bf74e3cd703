"""A program whose process group ends when the program that started it does, even by SIGKILL."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import KG2ATError
from .time_limits import wait_until

#: Reads from a socket that this Python holds open: its end tells the shell that this Python has ended.
_GUARD = 'exec 3<&0; (read -r _ <&3; kill -s "$0" 0) & exec "$@" 3<&- </dev/null'


class GuardedProcess:
    """A program in a process group of its own, out of reach of the terminal's Ctrl-C, that ends with this Python.

    `log` is the file of its output, `pid` its process id and that of its group.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: Path, orphaned: str = "KILL") -> None:
        """Start `argv`. Should this Python end before it, the group gets the signal `orphaned`. Raises OSError."""
        self.log = log
        self._lifeline, guard_end = socket.socketpair()
        guarded = ["/bin/sh", "-c", _GUARD, orphaned, *argv]
        with guard_end, log.open("wb") as out:
            self._process = subprocess.Popen(
                guarded, env=dict(env), stdin=guard_end.fileno(), stdout=out, stderr=out, start_new_session=True
            )
        self.pid = self._process.pid

    def running(self) -> bool:
        """Tell whether the program itself has not ended yet; its group may outlive it."""
        return self._process.poll() is None

    def signal(self, signum: int) -> bool:
        """Send a signal to the whole group; 0 sends none. Return False when the group is empty."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signum)
            return True
        return False

    def stop(self, grace: float = 10.0, kill_limit: float = 5.0) -> None:
        """End the whole group: SIGTERM, SIGKILL after `grace` seconds, then wait until it is gone. Idempotent.

        Raises KG2ATError when something of it is left `kill_limit` seconds after SIGKILL.
        """
        for signum, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, kill_limit)):
            self.signal(signum)
            if wait_until(lambda: not self.running() and not self.signal(0), seconds):
                return self._lifeline.close()
        raise KG2ATError(f"Process group {self.pid} can't be ended; its output is in {self.log}.")

    def tail(self, lines: int = 10) -> str:
        """Return the last lines of the program's output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
