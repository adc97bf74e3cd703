"""The end of a task that must not stop half-way: a process would be left that nobody looks after."""

from __future__ import annotations

import asyncio
from typing import Any


async def task_end(task: asyncio.Future[Any]) -> bool:
    """Wait until the task has ended, whoever cancels the wait. Return whether somebody has."""
    is_cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            is_cancelled = True
    return is_cancelled
