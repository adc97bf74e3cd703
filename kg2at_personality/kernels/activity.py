"""What a kernel publishes, followed for its state and for the time of its last activity."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Protocol

from jupyter_client.session import DELIM

from .jupyter_kernel import receiver
from .kernel import GatewayKernel
from .loop_turn import more_from
from .message import CONTENT, HEADER, PARENT, parsed


class ActivityHost(Protocol):
    """A manager, as Activity sees it."""

    last_kernel_activity: datetime


class Activity:
    """Stands before what jupyter_server does with each message (AsyncMappingKernelManager.start_watching_activity).

    That verifies and reads every one, for a state that only a status changes. Of the output of a busy kernel nothing
    matters but that it came.
    """

    def __init__(self, host: ActivityHost, kernel: GatewayKernel) -> None:
        self._host, self._kernel = host, kernel
        self._stream = kernel.activity_stream
        self._record = receiver(self._stream)
        self._stream.on_recv(self.take)

    def take(self, message: list[Any]) -> None:
        """Called for a message, when others may wait behind it."""
        self._handle(message)
        for more in more_from(self._stream):
            self._handle(more)

    def _handle(self, message: list[Any]) -> None:
        if self._kernel.execution_state == "busy" and _is_no_status(message):
            self._host.last_kernel_activity = self._kernel.last_activity = datetime.now(timezone.utc)
        else:
            self._record(message)
            self._follow_cell(message)

    def _follow_cell(self, message: list[Any]) -> None:
        """Note the cell that the kernel says to be busy with, or idle after."""
        parts = message[message.index(DELIM) + 1 :] if DELIM in message else []
        if len(parts) <= CONTENT or b'"status"' not in parts[HEADER] or b'"execute_request"' not in parts[PARENT]:
            return
        cell, state = parsed(parts[PARENT]).get("msg_id"), parsed(parts[CONTENT]).get("execution_state")
        if state == "busy":
            self._kernel.running_cell = str(cell)
            self._kernel.header_session = str(parsed(parts[HEADER]).get("session", ""))
        elif state == "idle" and self._kernel.running_cell == cell:
            self._kernel.running_cell = ""


def _is_no_status(message: list[Any]) -> bool:
    """Return whether its header, which follows the signature, can be none of a status."""
    try:
        return b'"status"' not in message[message.index(DELIM) + 2]
    except (ValueError, IndexError):
        return False
