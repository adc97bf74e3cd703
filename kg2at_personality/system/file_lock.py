"""Locks of files, which the system takes back when their process ends."""

from __future__ import annotations

import fcntl


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this process alone, as long as it is open. Return False while somebody else has the lock.

    Raises OSError where files can't be locked.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
