"""What `ps` of POSIX tells of processes, where psutil does not exist (z/OS)."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

#: Seconds by which two readings of one start may differ: ps counts whole ones, and clocks are adjusted.
SAME = 2.0
#: How often ps is asked for a time, at most, until it answers soon enough to tell it.
READINGS = 3


@dataclass(frozen=True)
class Row:
    """One process; `started` in seconds since the epoch, `command` its command line."""

    pid: int
    group: int
    started: float
    command: str


@dataclass(frozen=True)
class Ps:
    """Runs ps, which hangs after `limit` seconds. Its readings of a start are within `tolerance` seconds."""

    limit: float = 10.0
    tolerance: float = SAME

    def started_at(self, pid: int) -> float | None:
        """Return when the process began, in seconds since the epoch; None when ps finds none.

        One that waits to be reaped counts as a process: the ps of POSIX has no column for the state. Raises OSError
        with a sentence when ps can't be run, or can't tell.
        """
        now, etime = self._read("-o", "etime=", "-p", str(pid))
        try:
            return _start(etime, now) if etime.strip() else None
        except ValueError as error:
            raise OSError(f"ps can't tell when process {pid} began: {error}") from error

    def rows(self) -> Iterator[Row]:
        """Yield all processes but those whose line can't be read. Raises OSError as `started_at` does."""
        now, printed = self._read("-A", "-o", "pid=", "-o", "pgid=", "-o", "etime=", "-o", "args=")
        for line in printed.split("\n"):
            with suppress(ValueError):
                pid, group, etime, command = line.split(None, 3)
                yield Row(int(pid), int(group), _start(etime, now), command)

    def _read(self, *arguments: str) -> tuple[float, str]:
        """Return when ps looked (seconds since the epoch), and what it prints. Raises OSError as `_run` does."""
        for _ in range(READINGS):
            asked = time.time()
            printed = self._run(*arguments)
            answered = time.time()
            # Else a busy machine, or a clock that was set, would make another process of it.
            if 0 <= answered - asked <= self.tolerance / 2:
                break
        return (asked + answered) / 2, printed

    def _run(self, *arguments: str) -> str:
        """Return what ps prints, "" when it finds no process. Raises OSError when it can't be run or fails."""
        # COLUMNS would cut the arguments short.
        env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        try:
            done = subprocess.run(
                ["ps", *arguments],
                env=env,
                capture_output=True,
                text=True,
                errors="surrogateescape",
                timeout=self.limit,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OSError(f"ps, which tells of processes, can't be run: {error}") from error
        # Status 1 without a word is its way to say that it found none.
        if done.returncode and (done.returncode != 1 or done.stderr):
            raise OSError(f"ps {' '.join(arguments)} failed with status {done.returncode}: {done.stderr.strip()}")
        return done.stdout


def elapsed_seconds(text: str) -> int:
    """Read the etime of ps, `[[dd-]hh:]mm:ss`. Raises ValueError."""
    match = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no [[dd-]hh:]mm:ss")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _start(etime: str, now: float) -> float:
    """Return when a process began, by the etime that ps shows at `now`, both since the epoch. Raises ValueError."""
    elapsed = elapsed_seconds(etime)
    # In the tick of its start, ps of procps 4 subtracts more than there is, and prints 2**64 ticks.
    return now - (elapsed if elapsed <= now else 0)
