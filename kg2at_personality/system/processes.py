"""Processes that this one may not have started itself: when they began, and what the system tells of them.

By psutil; where it does not exist (z/OS), by what POSIX has: `ps` and the signal 0.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from .ps import SAME, Ps, Row

try:
    import psutil
except ImportError:
    psutil = None  # type: ignore[assignment]

#: The largest that a pid_t holds.
LAST_PID = 2**31 - 1
ps = Ps()


@dataclass(frozen=True)
class Process:
    """A process that began at `started`, in seconds since the epoch, with this environment at its start."""

    pid: int
    group: int
    started: float
    arguments: tuple[str, ...]
    environment: Mapping[str, str]


def exists(pid: int) -> bool:
    """Return whether any process has this pid; one that may not be signalled, or waits to be reaped, has it too."""
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
    """Return when the process began, in seconds since the epoch; None when it is dead, or only waits to be reaped.

    Without psutil, one that waits to be reaped counts as a process. Raises OSError with a sentence when nothing can
    be found out, as None says that it is dead.
    """
    if psutil is None:
        return ps.started_at(pid) if exists(pid) else None
    return began(handle(pid))


def is_same(pid: int, started: float) -> bool:
    """Return whether `pid` is the process that began at `started`, in seconds since the epoch. Raises OSError, too."""
    now = started_at(pid)
    return now is not None and abs(now - started) <= SAME


def has_psutil() -> bool:
    """Return whether psutil exists here, and so the environments of processes can be read."""
    return psutil is not None


def environment_of(pid: int) -> dict[str, str] | None:
    """Return the environment at its start; None where the system does not tell, as of other users' processes."""
    try:
        process = None if psutil is None else handle(pid)
        return None if process is None else process.environ()
    except (psutil.Error, OSError):
        return None


def find(is_wanted: Callable[[Mapping[str, str]], bool], variable: bytes = b"") -> list[Process]:
    """Return all processes but this one whose environment `is_wanted`.

    `variable` is one that each of them has, as in b"NAME=value"; it makes the search faster (10 ms for 1,000
    processes). What may not be read, or ends meanwhile, is passed over. Nothing without psutil. Blocking.
    """
    if psutil is None:
        return []
    pids = (pid for pid in psutil.pids() if pid != os.getpid() and _may_have(pid, variable))
    return [found for found in (_look_at(pid, is_wanted) for pid in pids) if found is not None]


def rows() -> list[Row]:
    """Return all processes but this one as ps shows them; none when it can't be run. Blocking."""
    try:
        return [row for row in ps.rows() if row.pid != os.getpid()]
    except OSError:
        return []


def own_user_of(pid: int) -> str | None:
    """Return the name of the user who runs this process, when `pid` and all its descendants are his; else None.

    None without psutil. A user without a name is Java's "?" (java_props_md.c). Blocking.
    """
    try:
        process = None if psutil is None else handle(pid)
        if process is None or any(each.uids().real != os.getuid() for each in (process, *process.children(True))):
            return None
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "?"
    except (psutil.Error, OSError):
        return None


def is_deserted(group: int) -> bool:
    """Return whether nothing lives in the process group; what only waits to be reaped does not.

    False where the system does not tell.
    """
    return psutil is not None and not members(group)


def members(group: int) -> list[int]:
    """Return the pids of what lives in the process group; [] where the system does not tell."""
    found: list[int] = []
    for pid in psutil.pids() if psutil is not None else ():
        with suppress(OSError):
            if os.getpgid(pid) == group and began(handle(pid)) is not None:
                found.append(pid)
    return found


# With psutil alone.


def handle(pid: int) -> psutil.Process | None:
    """Return psutil's object of the process, which knows it by the time since boot; None when there is none."""
    if 0 < pid <= LAST_PID:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(pid)
    return None


def began(process: psutil.Process | None) -> float | None:
    """Return when it began as `started_at` does; psutil keeps its first answer."""
    try:
        if process is None or process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        return process.create_time()
    except psutil.NoSuchProcess:
        return None
    except psutil.Error as error:
        raise OSError(f"psutil can't tell when a process began: {error}") from error


def _may_have(pid: int, variable: bytes) -> bool:
    """Look quickly, so that most processes need no other look."""
    if not variable or not psutil.LINUX:
        return True
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return variable in file.read()
    except OSError:
        return False


def _look_at(pid: int, is_wanted: Callable[[Mapping[str, str]], bool]) -> Process | None:
    try:
        # process_iter would give again what it once saw under the same pid.
        process = psutil.Process(pid)
        env = process.environ()
        if not is_wanted(env) or (started := began(process)) is None:
            return None
        return Process(pid, os.getpgid(pid), started, tuple(process.cmdline()), env)
    except (psutil.Error, OSError):
        return None
