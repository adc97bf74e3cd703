"""The end of a process group: what a program and those that it started are for POSIX."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from logging import Logger

from .processes import is_deserted


@dataclass(frozen=True)
class KillTimes:
    """Seconds: `grace` after SIGTERM, so that a JVM removes its temporary files, and `limit` after SIGKILL.

    Between two looks pass `first_pause` at first, twice as much each time, and `longest_pause` at most.
    """

    grace: float = 2.5
    limit: float = 2.0
    first_pause: float = 0.01
    longest_pause: float = 0.2

    def longer(self, pause: float) -> float:
        """Return the pause after `pause`."""
        return min(2 * pause, self.longest_pause)


DEFAULT = KillTimes()


async def kill_group(group: int | None, log: Logger, times: KillTimes = DEFAULT) -> bool:
    """Send SIGKILL until nothing is left of the group. Return False when it may not be signalled, or lives on.

    Only for a group in which a process is known to be ours, or was just now: ids are used again. No-op for None and
    for the gateway's own group.
    """
    if group is None or _is_own(group):
        return True
    pause, deadline = times.first_pause, time.monotonic() + times.limit
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
        pause = times.longer(pause)


async def terminate_group(group: int, log: Logger, times: KillTimes = DEFAULT) -> bool:
    """Send SIGTERM, and `kill_group` what does not heed it in time. Return what that returns."""
    if _is_own(group):
        return True
    deadline = time.monotonic() + times.grace
    error = _signal(group, signal.SIGTERM)
    while error is None and time.monotonic() < deadline and not await asyncio.to_thread(is_deserted, group):
        await asyncio.sleep(times.first_pause)
        error = _signal(group, 0)
    return await kill_group(group, log, times)


def _is_own(group: int) -> bool:
    return group == os.getpgrp()


def _signal(group: int, signum: int) -> OSError | None:
    """Signal the group. Return how that failed, if it did."""
    try:
        os.killpg(group, signum)
    except OSError as error:
        return error
    return None
