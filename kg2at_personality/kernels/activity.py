"""What a kernel publishes, followed for its state and for the time of its last activity."""

from __future__ import annotations

from typing import Any

from jupyter_client.session import DELIM
from jupyter_server._tz import utcnow

from .kernel import GatewayKernel
from .loop_turn import more_from


class Activity:
    """Stands before what jupyter_server does with each message (AsyncMappingKernelManager.start_watching_activity).

    That verifies and reads every one, for a state that only a status changes. Of the output of a busy kernel nothing
    matters but that it came.
    """

    def __init__(self, manager: Any, kernel: GatewayKernel) -> None:
        self._manager, self._kernel = manager, kernel
        self._stream: Any = kernel._activity_stream
        self._record = self._stream._recv_callback
        self._stream.on_recv(self.take)

    def take(self, message: list[bytes]) -> None:
        """Called for a message, when others may wait behind it."""
        self._hear(message)
        for more in more_from(self._stream):
            self._hear(more)

    def _hear(self, message: list[bytes]) -> None:
        if self._kernel.execution_state == "busy" and _is_no_status(message):
            self._manager.last_kernel_activity = self._kernel.last_activity = utcnow()
        else:
            self._record(message)


def _is_no_status(message: list[bytes]) -> bool:
    """Whether its header, which follows the signature, can be none of a status."""
    try:
        return b'"status"' not in message[message.index(DELIM) + 2]
    except (ValueError, IndexError):
        return False
