"""Processes that this gateway may not have started itself: when they began, their end, and which are kernels of ours.

By psutil; where it does not exist (z/OS), by what POSIX has: `ps` and the signal 0.
"""

from __future__ import annotations

import math
import os
import pwd
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

try:
    import psutil
except ImportError:
    psutil = None  # type: ignore[assignment]

#: Seconds by which two readings of one start may differ: ps counts whole ones, and clocks are adjusted.
SAME = 2.0
#: The exit status of a process that only its parent knows. No real one: those are 0 to 255, or minus a signal.
UNKNOWN_STATUS = -1000
#: Seconds between two looks at a process that is waited for.
WAIT_POLL = 0.05
#: Seconds after which ps hangs.
PS_LIMIT = 10.0
#: How often ps is asked for a time, at most, until it answers soon enough to tell it.
READINGS = 3
#: Toree's signal for an interrupt is none of them: it would end the JVM's children.
GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
#: The largest that a pid_t holds.
LAST_PID = 2**31 - 1


def exists(pid: int) -> bool:
    """Whether any process has this pid; one that may not be signalled, or waits to be reaped, has it too."""
    if not 0 < pid <= LAST_PID:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is there, but another user's
    return True


def started_at(pid: int) -> float | None:
    """When the process began, in seconds since the epoch; None when there is none, or it only waits to be reaped.

    Without psutil, one that waits to be reaped counts as a process. Raises OSError with a sentence when nothing can
    be found out, for None tells that it is dead.
    """
    return _started_by_ps(pid) if psutil is None else _began(_process(pid))


def is_same(pid: int, started: float) -> bool:
    """Whether `pid` is still the process that began at `started` (seconds since the epoch). Raises OSError as above."""
    began = started_at(pid)
    return began is not None and abs(began - started) <= SAME


class AdoptedProcess:
    """What subprocess.Popen is to LocalProvisioner, for a process that another gateway process started.

    It began at `started`, in seconds since the epoch; whatever else has its pid is neither waited for nor signalled.
    What LocalProvisioner sends to a process group goes to `group`, as long as the process lives. Without psutil, a
    clock that is set by more than SAME makes it gone at its next signal.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, started: float, group: int | None = None) -> None:
        """Raises OSError when ps can't be run."""
        self.pid, self.started, self.group = pid, started, group
        # From here on psutil knows it by the time since boot, which nobody sets.
        self._process = None if psutil is None else _process(pid)
        self.returncode = None if is_same(pid, started) else UNKNOWN_STATUS

    def poll(self) -> int | None:
        """None while it lives, else UNKNOWN_STATUS."""
        if self.returncode is None and not self._lives():
            self.returncode = UNKNOWN_STATUS
        return self.returncode

    def _lives(self) -> bool:
        if psutil is None:
            # Polled too often for a ps each time.
            return exists(self.pid)
        return self._process is not None and self._process.is_running() and _began(self._process) is not None

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
        """Signal it; nothing when it is gone. Raises PermissionError, and OSError when ps can't be run."""
        if self.poll() is not None:
            return
        if psutil is None and not is_same(self.pid, self.started):
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


@dataclass(frozen=True)
class Found:
    """A process of a kernel of ours, begun at `started` (seconds since the epoch).

    `is_kernel` tells that its command line names the kernel's connection file: it is no mere child of the kernel.
    """

    pid: int
    pgid: int
    kernel_id: str
    started: float
    is_kernel: bool


def find(mark: str, value: str, connection_files: Mapping[str, str]) -> list[Found]:
    """Look once at all processes but this one: those with `mark`=`value` and a KERNEL_ID in their environment.

    `connection_files` maps kernel ids to paths. Without psutil, those that have one of these paths in their arguments;
    none when ps can't be run. What may not be read, or ends meanwhile, is passed over. Blocking.
    """
    # "" would be in every command line.
    files = {kernel_id: path for kernel_id, path in connection_files.items() if path}
    if psutil is None:
        return _find_by_ps(files)
    found = (look_at(pid, mark, value, files) for pid in psutil.pids() if pid != os.getpid())
    return [one for one in found if one is not None]


def environment_of(pid: int) -> dict[str, str] | None:
    """What its environment was at its start; None where the system does not tell, as of other users' processes."""
    try:
        process = None if psutil is None else _process(pid)
        return None if process is None else process.environ()
    except (psutil.Error, OSError):
        return None


def own_user_of(pid: int) -> str | None:
    """The name of the user who runs this gateway, when the process and all its descendants are his; else None.

    None without psutil. A user without a name is Java's "?" (java_props_md.c). Blocking.
    """
    try:
        process = None if psutil is None else _process(pid)
        if process is None or any(each.uids().real != os.getuid() for each in (process, *process.children(True))):
            return None
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "?"
    except (psutil.Error, OSError):
        return None


def is_deserted(group: int) -> bool:
    """Whether nothing lives in the process group: what only waits to be reaped does not. False where none can tell."""
    return psutil is not None and not _members(group)


def is_group_of(group: int, kernel_id: str) -> bool:
    """Whether something lives in the process group that has this KERNEL_ID. False where none can tell."""
    environments = map(environment_of, _members(group) if psutil is not None else ())
    return any(env is not None and env.get("KERNEL_ID") == kernel_id for env in environments)


# With psutil.


def _members(group: int) -> list[int]:
    """The pids of what lives in the process group."""
    members = []
    for pid in psutil.pids():
        with suppress(OSError):
            if os.getpgid(pid) == group and _began(_process(pid)) is not None:
                members.append(pid)
    return members


def _process(pid: int) -> psutil.Process | None:
    if 0 < pid <= LAST_PID:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(pid)
    return None


def _began(process: psutil.Process | None) -> float | None:
    """As started_at; psutil keeps its first answer."""
    try:
        if process is None or process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        return process.create_time()
    except psutil.NoSuchProcess:
        return None
    except psutil.Error as error:
        raise OSError(f"psutil can't tell when a process began: {error}") from error


def look_at(pid: int, mark: str, value: str, connection_files: Mapping[str, str]) -> Found | None:
    """One process, as `find` does."""
    try:
        # process_iter would give again what it once saw under the same pid.
        process = psutil.Process(pid)
        env = process.environ()
        kernel_id = env.get("KERNEL_ID")
        if not kernel_id or env.get(mark) != value or (started := _began(process)) is None:
            return None
        name = f"kernel-{kernel_id}.json"
        names = (name, connection_files.get(kernel_id, name))
        is_kernel = any(one in argument for argument in process.cmdline() for one in names)
        return Found(pid, os.getpgid(pid), kernel_id, started, is_kernel)
    except (psutil.Error, OSError):
        return None


# Without.


def elapsed_seconds(text: str) -> int:
    """Read the etime of ps, `[[dd-]hh:]mm:ss`. Raises ValueError."""
    match = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no [[dd-]hh:]mm:ss")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _start(etime: str, now: float) -> float:
    """When a process began, in seconds since the epoch, by the etime that ps tells at `now`. Raises ValueError."""
    elapsed = elapsed_seconds(etime)
    # In the tick of its start, ps of procps 4 subtracts more than there is, and prints 2**64 ticks.
    return now - (elapsed if elapsed <= now else 0)


def _started_by_ps(pid: int) -> float | None:
    # Zombies are not told apart: the ps of POSIX has no column for the state.
    if not exists(pid):
        return None
    now, etime = _ps_at("-o", "etime=", "-p", str(pid))
    try:
        return _start(etime, now) if etime.strip() else None
    except ValueError as error:
        raise OSError(f"ps can't tell when process {pid} began: {error}") from error


def _find_by_ps(connection_files: Mapping[str, str]) -> list[Found]:
    try:
        now, rows = _ps_at("-A", "-o", "pid=", "-o", "pgid=", "-o", "etime=", "-o", "args=")
    except OSError:
        return []
    found = (_read_row(line, now, connection_files) for line in rows.split("\n"))
    return [one for one in found if one is not None and one.pid != os.getpid()]


def _read_row(line: str, now: float, connection_files: Mapping[str, str]) -> Found | None:
    """A line of ps, None when it is no kernel's or can't be read."""
    with suppress(ValueError):
        pid, pgid, etime, args = line.split(None, 3)
        for kernel_id, path in connection_files.items():
            if path in args:
                return Found(int(pid), int(pgid), kernel_id, _start(etime, now), is_kernel=True)
    return None


def _ps_at(*arguments: str) -> tuple[float, str]:
    """When ps looked (seconds since the epoch), and what it prints. Raises OSError as _ps does."""
    for _ in range(READINGS):
        asked = time.time()
        printed = _ps(*arguments)
        answered = time.time()
        # Else a busy machine, or a clock that was set, would make another process of it.
        if 0 <= answered - asked <= SAME / 2:
            break
    return (asked + answered) / 2, printed


def _ps(*arguments: str) -> str:
    """What ps prints, "" when it finds no process. Raises OSError with a sentence when it can't be run or fails."""
    # COLUMNS would cut the arguments short.
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    try:
        done = subprocess.run(
            ["ps", *arguments], env=env, capture_output=True, text=True, errors="surrogateescape", timeout=PS_LIMIT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OSError(f"ps, which tells of the kernels' processes, can't be run: {error}") from error
    # Status 1 without a word is its way to say that it found none.
    if done.returncode and (done.returncode != 1 or done.stderr):
        raise OSError(f"ps {' '.join(arguments)} failed with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout
