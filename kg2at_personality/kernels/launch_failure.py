"""What the system refuses a launch for: descriptors, memory, processes or disk have run out."""

from __future__ import annotations

from zmq import ZMQError

from ..errors import LaunchFailed, NoRoom

#: ZeroMQ has an error of its own for that.
SYSTEM_ERRORS = (OSError, ZMQError, NoRoom)


def launch_failure(error: Exception, tried: str = "launched") -> LaunchFailed:
    """Return what a client is told of one of SYSTEM_ERRORS; `tried` is launched or restarted."""
    return LaunchFailed(f"The kernel could not be {tried}: {str(error).rstrip('.')}. Please tell the administrator.")
