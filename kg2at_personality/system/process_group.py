"""The process group of a kernel: its process, and what that left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

from .processes import is_deserted

#: Seconds between two looks at a process group after its SIGKILL: first, and longest; and those that it has to end.
POLLS, LIMIT = (0.01, 0.2), 2.0
#: Seconds that a group has to end by itself, so that a JVM removes its temporary files.
PATIENCE = 2.5


async def kill_group(group: int | None, log: Any) -> bool:
    """SIGKILL, until nothing is left of the group; True then. False: it may not be signalled, or lives on.

    Only for a group that has a process known to be ours, or had one just now: ids are used again. None is nothing,
    and so is the gateway's own.
    """
    if group is None or _is_own(group):
        return True
    (pause, longest), deadline = POLLS, time.monotonic() + LIMIT
    while True:
        error = _signal(group, signal.SIGKILL)
        if isinstance(error, ProcessLookupError):
            return True
        # What nobody reaps is dead all the same: init may take its time, or be none (in a container).
        if await asyncio.to_thread(is_deserted, group):
            return True
        if error is not None or time.monotonic() > deadline:
            log.warning("The process group %s can't be ended: %s", group, error or "it outlives SIGKILL")
            return False
        await asyncio.sleep(pause)
        pause = min(2 * pause, longest)


async def end_group(group: int, log: Any) -> bool:
    """SIGTERM, and `kill_group` what does not heed it within PATIENCE seconds."""
    if _is_own(group):
        return True
    deadline = time.monotonic() + PATIENCE
    error = _signal(group, signal.SIGTERM)
    while error is None and time.monotonic() < deadline and not await asyncio.to_thread(is_deserted, group):
        await asyncio.sleep(POLLS[0])
        error = _signal(group, 0)
    return await kill_group(group, log)


def _is_own(group: int) -> bool:
    return group == os.getpgrp()


def _signal(group: int, signum: int) -> OSError | None:
    """Signal the group; how that failed, if it did."""
    try:
        os.killpg(group, signum)
    except OSError as error:
        return error
    return None
