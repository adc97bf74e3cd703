"""kg2at for a gateway that gets a signal while it writes a line of its log; KernelGatewayApp.api takes it."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from typing import Any

from kg2at_personality.personality import KG2ATPersonality

#: What the line has in it.
MARK = b"/signal-me"
#: Holds the number of the signal.
VARIABLE = "SIGNALLED_GATEWAY_SIGNAL"


class SignallingFile(io.FileIO):
    """Sends the signal in the middle of a write."""

    def write(self, content: Any) -> int:
        if MARK in bytes(content):
            os.kill(os.getpid(), int(os.environ[VARIABLE]))
        return super().write(content)


def create_personality(*args: Any, **kwargs: Any) -> KG2ATPersonality:
    """Called by Kernel Gateway, before it sets up tornado's log."""
    plain = sys.stderr
    raw = SignallingFile(plain.fileno(), "wb", closefd=False)
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(raw), line_buffering=True)
    for handler in kwargs["parent"].log.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is plain:
            handler.setStream(sys.stderr)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started with
    return KG2ATPersonality(*args, **kwargs)
