"""Slow questions, asked side by side and given up in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def within(limit: float, tasks: Mapping[str, Callable[[], T]]) -> dict[str, T | Exception]:
    """What each task returns or raises within `limit` seconds, by its name; TimeoutError for the others.

    Those go on in daemon threads, of which nobody hears any more.
    """
    answers: dict[str, T | Exception] = {}

    def answer(name: str, task: Callable[[], T]) -> None:
        try:
            found: T | Exception = task()
        except Exception as error:
            found = error
        answers.setdefault(name, found)

    threads = [threading.Thread(target=answer, args=item, daemon=True) for item in tasks.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + limit
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {name: answers.setdefault(name, TimeoutError(f"no answer within {limit:g} s")) for name in tasks}
