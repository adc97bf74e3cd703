"""kg2at for a gateway that dies, as by kill -9, at the point that a variable names; KernelGatewayApp.api takes it."""

from __future__ import annotations

import os
import signal
from typing import Any

from kg2at_personality.kernels.timing import Timing
from kg2at_personality.personality import KG2ATPersonality
from kg2at_personality.state.failpoints import Failpoints

#: Holds the name of the point to die at.
VARIABLE = "DYING_GATEWAY_POINT"


class DeadlyPoint(Failpoints):
    """Ends this process at one point."""

    def reached(self, name: str) -> None:
        if os.environ.get(VARIABLE) == name:
            os.kill(os.getpid(), signal.SIGKILL)


class DyingPersonality(KG2ATPersonality):  # type: ignore[misc]
    failpoints = DeadlyPoint()
    #: A kernel that is to wait for a user is started at once.
    timing = Timing(warm_look=0.1, warm_quiet=0.0)


def create_personality(*args: Any, **kwargs: Any) -> KG2ATPersonality:
    """Called by Kernel Gateway."""
    return DyingPersonality(*args, **kwargs)
