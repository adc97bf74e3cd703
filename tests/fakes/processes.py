"""What tests ask of processes."""

from __future__ import annotations

import psutil


def runs(pid: int) -> bool:
    """Return whether the process runs; a zombie doesn't."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
