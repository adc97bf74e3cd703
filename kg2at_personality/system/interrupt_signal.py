"""SIGINT, as child processes inherit it: an ignored one stays ignored, a handler does not go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any


def let_children_be_interrupted(stop: Callable[..., Any]) -> None:
    """Give SIGINT a handler, so that the children of this process begin with its default. No-op beside the main thread.

    nohup and `&` in a script start a program with SIGINT ignored; it goes on to ignore it. Python's own handler is
    replaced by `stop`, which ends the program.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda signum, frame: None)
    elif handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)
