"""What left its kernel's process group, as by setsid: known by its environment, and ended with the kernel."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from ..system.process_group import LIMIT, POLLS
from ..system.processes import Found, is_same, look_at

try:
    import psutil
except ImportError:
    psutil = None  # type: ignore[assignment]


def find_of(kernel_id: str, mark: str, value: str) -> list[Found]:
    """The processes of one kernel, as process.find does; none without psutil. Blocking: 10 ms for 1,000 processes."""
    if psutil is None:
        return []
    variable = f"KERNEL_ID={kernel_id}".encode()
    pids = [pid for pid in psutil.pids() if pid != os.getpid() and _may_have(pid, variable)]
    found = (look_at(pid, mark, value, {}) for pid in pids)
    return [one for one in found if one is not None and one.kernel_id == kernel_id]


def _may_have(pid: int, variable: bytes) -> bool:
    """A quick look, by which most processes need no other."""
    if not psutil.LINUX:
        return True
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return variable in file.read()
    except OSError:
        return False


async def end_strays(look: Callable[[], list[Found]], log: Any) -> bool:
    """SIGKILL what `look` finds, until it finds nothing; True then. False: something may not be signalled, or lives on.

    `look` blocks.
    """
    (pause, longest), deadline = POLLS, time.monotonic() + LIMIT
    while strays := await asyncio.to_thread(look):
        errors = [error for stray in strays if (error := _kill(stray)) is not None]
        if errors or time.monotonic() > deadline:
            log.warning("Processes %s can't be ended: %s", [stray.pid for stray in strays], errors or "they live on")
            return False
        await asyncio.sleep(pause)
        pause = min(2 * pause, longest)
    return True


def _kill(stray: Found) -> OSError | None:
    """How that failed, if it did."""
    try:
        if is_same(stray.pid, stray.started):
            os.kill(stray.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except OSError as error:
        return error
    return None
