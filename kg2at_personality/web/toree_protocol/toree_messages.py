"""What a Toree sends, changed to what a notebook expects of a kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_client.session import Session

from ...kernels.kernel import GatewayKernel
from ...kernels.message import BUFFERS, CONTENT, HEADER, PARENT, parsed, with_content
from . import cell_substitute, output_schema, sql_cells
from .heartbeat import Heartbeat
from .idle_hold import IdleHold, KernelMessage
from .last_exception import LastExceptionFilter


class ToreeMessages:
    """Belongs to one websocket. `forward` sends a message, given with its channel, on to the notebook.

    `flush_iopub` takes what the kernel has published by now, and returns whether all of that was given to `take`.
    """

    def __init__(
        self,
        kernel: GatewayKernel,
        session: Session,
        forward: Callable[[str, list[Any]], None],
        flush_iopub: Callable[[], bool],
    ) -> None:
        self._kernel, self._session, self._forward = kernel, session, forward
        self._heartbeat = Heartbeat(kernel)
        self._idle_hold = IdleHold(forward, flush_iopub, self._heartbeat.ask, kernel)
        self._last_exception = LastExceptionFilter(session)

    @property
    def holds(self) -> bool:
        """Whether a cell's idle status waits."""
        return self._idle_hold.holds

    def take(self, channel: str, message: list[Any]) -> None:
        """Send on a message from the kernel as a notebook understands it, in the order that it expects.

        Raises ValueError, LookupError or TypeError for a malformed one.
        """
        parts = list[Any](self._session.feed_identities(message)[1])
        if len(parts) < BUFFERS:
            self._forward(channel, message)  # which logs that it is malformed
            return
        is_cell = b'"execute_request"' in parts[PARENT]
        if is_cell and self._kernel.session.session.encode() in parts[PARENT]:
            return  # of a cell of the gateway's own
        changed = cell_substitute.restored(self._session, parts) or self._last_exception.without(parts)
        if changed is not None:
            parts = changed[1:]
            message = sql_cells.from_kernel(self._session, parts) if self._kernel.kind.is_sql else changed
            self._idle_hold.take(self._parse(channel, message, parts, is_cell))

    def _parse(self, channel: str, message: list[Any], parts: list[Any], is_cell: bool) -> KernelMessage:
        """Return what a message says, with a content that a notebook can save."""
        header, parent = (parsed(parts[place]) for place in (HEADER, PARENT))
        msg_type = str(header.get("msg_type"))
        content = parsed(parts[CONTENT]) if is_cell or msg_type in output_schema.OUTPUT else {}
        valid = output_schema.valid(msg_type, content)
        if valid is not None and valid != content:
            message = with_content(self._session, parts, valid) or message
        return KernelMessage(
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
        """Return what is held, in order, with its channels. Called when the websocket closes."""
        self._heartbeat.close()
        return self._idle_hold.close()
