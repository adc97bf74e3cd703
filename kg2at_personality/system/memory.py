"""How much of this machine's memory is free, and how much a process takes: what Linux tells; None elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: What its files show is below these.
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
#: Names of the files of a control group: its limit, its use, and in `memory.stat` what of that is only cached.
VERSION_2 = "memory.max", "memory.current", "inactive_file"
VERSION_1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"


def free_memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Return the bytes that processes may still take, within the limits of this one's control groups. Blocking."""
    found = [_available(proc), *(_left(folder, names) for folder, names in _groups(proc, cgroups))]
    return min((each for each in found if each is not None), default=None)


def memory_of(pid: int, proc: Path = PROC) -> int | None:
    """Return the bytes of a process that are in memory."""
    with suppress(OSError, ValueError, IndexError):
        return int((proc / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def _available(proc: Path) -> int | None:
    with suppress(OSError, ValueError):
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _groups(proc: Path, cgroups: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Yield the control groups that this process is in, from its own up, and the names of their files."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") > 1):
        if controllers and "memory" not in controllers.split(","):
            continue
        root, names = (cgroups / "memory", VERSION_1) if controllers else (cgroups, VERSION_2)
        below = Path(path.lstrip("/"))
        # In a container the path may be that of the host, where there is no such folder here.
        yield from ((root / each, names) for each in (below, *below.parents))


def _left(folder: Path, names: tuple[str, str, str]) -> int | None:
    """Return the bytes up to a group's limit; what is cached of files gives way. None: it has no limit."""
    limit, used, cached = names
    with suppress(OSError, ValueError):
        pairs = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        reclaimable = next((int(value) for name, value in pairs if name == cached), 0)
        most, use = (int((folder / each).read_text()) for each in (limit, used))  # "max": no limit
        return max(most - use + reclaimable, 0)
    return None
