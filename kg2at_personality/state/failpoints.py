"""Points at which a test lets the gateway die, as it would by kill -9."""

from __future__ import annotations

import os
import signal

#: Holds the name of the point to die at. Nobody but a test sets it.
VARIABLE = "KG2AT_TEST_FAULT"
#: In the order in which a kernel comes to them; a restart passes "start: recorded" and "start: launched" too.
START = ("start: admitted", "start: recorded", "start: launched", "start: done")
RESTART = ("restart: recorded", "restart: asked", "restart: ended")
STOP = ("stop: recorded", "stop: asked", "stop: ended", "stop: cleaned", "stop: forgotten")


def point(name: str) -> None:
    """Called between two steps of a kernel's life: the gateway is gone if a test wants it to die here."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
