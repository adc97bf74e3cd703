"""Memory that is free: what the machine has, and what its control groups leave."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from kg2at_personality.system.memory import free_memory, memory_of

MEMINFO = "MemTotal:       100 kB\nMemAvailable:    50 kB\n"


def tree(root: Path, files: dict[str, str]) -> tuple[Path, Path]:
    """Write `files`, and return the two directories that stand for /proc and /sys/fs/cgroup."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root / "proc", root / "cgroup"


def version_2(folder: str, most: str, used: int = 0, cached: int = 0) -> dict[str, str]:
    stat = f"anon 5\ninactive_file {cached}\n"
    return {f"{folder}/memory.max": most, f"{folder}/memory.current": str(used), f"{folder}/memory.stat": stat}


def version_1(folder: str, most: int, used: int) -> dict[str, str]:
    files = {"limit_in_bytes": str(most), "usage_in_bytes": str(used), "stat": "total_inactive_file 3\n"}
    return {f"{folder}/memory.{name}": text for name, text in files.items()}


@pytest.mark.parametrize(
    ("groups", "files", "free"),
    [
        ("", {}, 51200),
        ("0::/a/b\n", version_2("cgroup/a/b", "max\n", 7), 51200),
        ("0::/a/b\n", version_2("cgroup/a/b", "1000\n", 300, 100), 800),
        ("0::/a/b\n", version_2("cgroup/a/b", "max") | version_2("cgroup/a", "900", 300), 600),
        ("0::/host/path\n", version_2("cgroup", "500", 600), 0),
        ("5:cpu:/x\n4:memory:/x\n", version_1("cgroup/memory/x", 100, 40), 63),
        ("nonsense\n", {"cgroup/memory.max": "5"}, 51200),
    ],
)
def test_the_least_counts(tmp_path: Path, groups: str, files: dict[str, str], free: int) -> None:
    proc, cgroups = tree(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": groups} | files)
    assert free_memory(proc, cgroups) == free


def test_where_the_system_does_not_tell(tmp_path: Path) -> None:
    assert free_memory(tmp_path / "proc", tmp_path) is None and memory_of(os.getpid(), tmp_path) is None


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere it is not known")
def test_this_machine() -> None:
    free, own = free_memory(), memory_of(os.getpid())
    assert free is not None and 0 < free <= psutil.virtual_memory().total
    assert own is not None and own == pytest.approx(psutil.Process().memory_info().rss, rel=0.1)
