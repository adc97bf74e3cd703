"""The process group of a kernel: its process, and what that left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from .process import is_deserted

#: How often, and seconds between, a process group is looked at after its SIGKILL.
TRIES, POLL = 100, 0.02
#: Seconds that a group has to end by itself, so that a JVM removes its temporary files.
PATIENCE = 2.5


async def kill_group(group: int | None, log: Any) -> bool:
    """SIGKILL, until nothing is left of the group; True then. False: it may not be signalled, or lives on.

    Only for a group that has a process known to be ours, or had one just now: ids are used again. None is nothing,
    and so is the gateway's own.
    """
    if group is None or group == os.getpgrp():
        return True
    for _ in range(TRIES):
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return True
        except OSError as error:
            if await asyncio.to_thread(is_deserted, group):
                return True
            log.warning("The process group %s can't be signalled: %s", group, error)
            return False
        await asyncio.sleep(POLL)
    # Those that nobody reaps are dead all the same (a container whose first process is no init).
    return await asyncio.to_thread(is_deserted, group)


async def end_group(group: int, log: Any) -> bool:
    """SIGTERM, and `kill_group` what does not heed it within PATIENCE seconds."""
    try:
        os.killpg(group, signal.SIGTERM)
    except OSError:
        return await kill_group(group, log)
    for _ in range(round(PATIENCE / POLL)):
        await asyncio.sleep(POLL)
        try:
            os.killpg(group, 0)
        except OSError:
            break
    return await kill_group(group, log)
