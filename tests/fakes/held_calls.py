"""Calls that a test holds until it has seen what it came for."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.fakes.wait import until


class HeldCalls:
    """Holds each call of a method that runs in a thread, from `hold` to `release`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cls: type, name: str) -> None:
        self.calls, self._go, real = 0, threading.Event(), getattr(cls, name)
        self._go.set()

        def held(*args: Any) -> Any:
            self.calls += 1
            assert self._go.wait(20)
            return real(*args)

        monkeypatch.setattr(cls, name, held)

    def hold(self) -> None:
        """Hold calls from now on, and count them anew."""
        self.calls = 0
        self._go.clear()

    def release(self) -> None:
        """Let those go on that are held, and those that come. Idempotent."""
        self._go.set()

    async def reached(self, calls: int = 1) -> None:
        """Wait until there have been so many calls."""
        await until(lambda: self.calls >= calls, f"call {calls}")
