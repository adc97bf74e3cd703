"""What becomes of SIGINT, for this process and for those that it starts."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kg2at_personality.system.interrupt_signal import let_children_be_interrupted

SHOW = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def stop(*arguments: Any) -> None:
    """What ends the program."""


def child_is_interrupted() -> bool:
    shown = subprocess.run([sys.executable, "-S", "-c", SHOW], capture_output=True, text=True, check=True)
    return shown.stdout == "True\n"


def test_an_ignored_one_stays_ignored_here_and_is_none_for_children() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert not child_is_interrupted()
    let_children_be_interrupted(stop)
    signal.raise_signal(signal.SIGINT)
    assert child_is_interrupted()


def test_python_s_own_handler_is_replaced() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    let_children_be_interrupted(stop)
    assert signal.getsignal(signal.SIGINT) is stop


def test_another_handler_stays() -> None:
    def other(*arguments: Any) -> None:
        pass

    signal.signal(signal.SIGINT, other)
    let_children_be_interrupted(stop)
    assert signal.getsignal(signal.SIGINT) is other


def test_beside_the_main_thread_nothing_is_done() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    thread = threading.Thread(target=let_children_be_interrupted, args=(stop,))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
