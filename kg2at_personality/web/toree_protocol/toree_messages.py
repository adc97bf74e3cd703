"""What a Toree sends, mended before a notebook sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_client.session import Session

from ...kernels.kernel import GatewayKernel
from ...kernels.message import BUFFERS, CONTENT, HEADER, PARENT, parsed, with_content
from . import cell_substitute, output_schema, sql_cells
from .heartbeat import Heartbeat
from .idle_hold import IdleHold, Message
from .last_exception import LastExceptionFilter


class ToreeMessages:
    """Belongs to one websocket. `forward` sends a message, given with its channel, on to the notebook.

    `settle` takes what the kernel has published by now, and tells whether all that has come was given to `take`.
    """

    def __init__(
        self,
        kernel: GatewayKernel,
        session: Session,
        forward: Callable[[str, list[Any]], None],
        settle: Callable[[], bool],
    ) -> None:
        self._kernel, self._session, self._forward = kernel, session, forward
        self._pulse = Heartbeat(kernel)
        self._hold = IdleHold(forward, settle, self._pulse.ask, kernel)
        self._leftover = LastExceptionFilter(session)

    @property
    def holds(self) -> bool:
        """Whether a cell's idle status waits."""
        return self._hold.holds

    def take(self, channel: str, message: list[Any]) -> None:
        """Called for each message: send it on as a notebook understands it, in the order that it expects."""
        parts = list[Any](self._session.feed_identities(message)[1])
        if len(parts) < BUFFERS:
            self._forward(channel, message)  # where it is found to be malformed
            return
        is_cell = b'"execute_request"' in parts[PARENT]
        if is_cell and self._kernel.session.session.encode() in parts[PARENT]:
            return  # the gateway's own
        mended = cell_substitute.restored(self._session, parts) or self._leftover.without(parts)
        if mended is not None:
            parts = mended[1:]
            message = sql_cells.from_kernel(self._session, parts) if self._kernel.is_sql else mended
            self._hold.take(self._read(channel, message, parts, is_cell))

    def _read(self, channel: str, message: list[Any], parts: list[Any], is_cell: bool) -> Message:
        """What `message` says; its content made valid."""
        header, parent = (parsed(parts[place]) for place in (HEADER, PARENT))
        msg_type = str(header.get("msg_type"))
        content = parsed(parts[CONTENT]) if is_cell or msg_type in output_schema.OUTPUT else {}
        valid = output_schema.valid(msg_type, content)
        if valid is not None and valid != content:
            message = with_content(self._session, parts, valid) or message
        return Message(
            channel,
            message,
            str(parent.get("msg_id")) if is_cell else None,
            is_idle=msg_type == "status" and content.get("execution_state") == "idle",
            is_error=msg_type == "error",
            is_result=msg_type == "execute_result",
            is_anothers=parent.get("session") != self._session.session,
            reply=str(content.get("status")) if msg_type == "execute_reply" else "",
        )

    def close(self) -> list[tuple[str, list[Any]]]:
        """Called when the websocket closes: what was held, in order, with the channels."""
        self._pulse.close()
        return self._hold.close()
