"""Waits for a condition, each within a limit: what tests do instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
#: What the message of a failed wait says: a text, or a function that makes one when it is needed.
What = str | Callable[[], Any]


async def until(condition: Callable[[], object], what: What, limit: float = 20.0) -> None:
    """Wait until `condition` holds while the event loop runs on; fails after `limit` seconds, and says `what`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while not condition():
        assert loop.time() < end, _never(what)
        await asyncio.sleep(0.01)


def wait_until(condition: Callable[[], T | None], what: What, limit: float = 60.0) -> T:
    """Return the first true value of `condition`; blocks, fails after `limit` seconds, and says `what`."""
    end = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < end, _never(what)
        time.sleep(0.05)
    return value


def _never(what: What) -> str:
    return f"never came: {what if isinstance(what, str) else what()}"
