"""A call that goes on when the one who waits for it is interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from kg2at_personality.spark_python.pending_call import PendingCall
from tests.fakes.wait import wait_until


class Interrupt(BaseException):
    """Comes while somebody waits."""


class Gate:
    """A call that ends when it is let, and what became of its result."""

    def __init__(self, result: Any = "result") -> None:
        self.open, self.result = threading.Event(), result
        self.discarded: list[Any] = []

    def __call__(self) -> Any:
        assert self.open.wait(20)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def discard(self, result: Any) -> None:
        self.discarded.append(result)


def interrupted(call: PendingCall, before: Callable[[], None] = lambda: None) -> None:
    def interrupt() -> None:
        before()
        raise Interrupt

    with pytest.raises(Interrupt):
        call.result(interrupt)


class TestResult:
    def test_a_result(self) -> None:
        gate, delays = Gate(), []

        def on_delay() -> None:
            delays.append(1)
            gate.open.set()

        call = PendingCall(gate, gate.discard, 0.01)
        assert call.is_running
        assert call.result(on_delay) == "result" and delays == [1] and not gate.discarded
        assert not call.is_running

    def test_an_error(self) -> None:
        gate = Gate(ValueError("why"))
        gate.open.set()
        with pytest.raises(ValueError, match="why"):
            PendingCall(gate, gate.discard, 0.01).result()

    def test_waiting_again(self) -> None:
        gate = Gate()
        call = PendingCall(gate, gate.discard, 0.01)
        interrupted(call)
        assert call.is_running
        assert call.result(gate.open.set) == "result" and not gate.discarded

    def test_nobody_waits(self) -> None:
        gate = Gate()
        call = PendingCall(gate, gate.discard, 0.01)
        interrupted(call)
        gate.open.set()
        wait_until(lambda: not call.is_running, "the end", 20)
        assert gate.discarded == ["result"] and call.result() is None

    def test_an_error_that_nobody_waits_for(self) -> None:
        gate = Gate(ValueError("why"))
        call = PendingCall(gate, gate.discard, 0.01)
        interrupted(call)
        gate.open.set()
        wait_until(lambda: not call.is_running, "the end", 20)
        assert not gate.discarded

    def test_a_result_at_the_moment_of_the_interrupt(self) -> None:
        gate = Gate()
        call = PendingCall(gate, gate.discard, 0.01)

        def end() -> None:
            gate.open.set()
            wait_until(lambda: not call.is_running, "the end", 20)

        interrupted(call, end)
        wait_until(lambda: gate.discarded, "the discard", 20)
        assert gate.discarded == ["result"] and call.result() is None

    def test_a_result_that_is_kept(self) -> None:
        gate = Gate()
        call = PendingCall(gate, patience=0.01)
        interrupted(call)
        gate.open.set()
        wait_until(lambda: not call.is_running, "the end", 20)
        assert call.result() == "result"
