"""What a Toree sends, mended before a notebook sees it.

Toree sends a cell's result and its idle status by different actors (KernelMessageRelay, StatusDispatch), so that the
result can be last. A notebook is done with a cell when it is idle, and drops what comes later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_client.session import Session
from tornado.ioloop import IOLoop

from ..kernels.kernel import GatewayKernel
from . import sql

#: Seconds by which a Toree cell's result may come after its idle status (seen: 1 ms, once in 75 cells).
IDLE_GRACE = 0.05


class ToreeMessages:
    """Belongs to one websocket. `forward` takes a message, with the stream that it came by, on to the notebook."""

    def __init__(self, kernel: GatewayKernel, session: Session, forward: Callable[[Any, list[Any]], None]) -> None:
        self._kernel, self._session, self._forward = kernel, session, forward
        self._held: tuple[bytes, Any, list[Any]] | None = None
        self._timer: Any = None

    @property
    def holds(self) -> bool:
        """Whether a cell's idle status waits."""
        return self._held is not None

    def take(self, stream: Any, message: list[Any]) -> None:
        """Called for each message: let a cell's idle status go only after what belongs before it."""
        parts = list[Any](self._session.feed_identities(message)[1])
        parent, content = bytes(parts[2]), bytes(parts[4])
        is_cell = b'"execute_request"' in parent
        if is_cell and self._kernel.session.session.encode() in parent:
            return  # the gateway's own
        if self._kernel.is_sql:
            message = sql.from_kernel(self._session, parts)
        if self._held is not None and parent != self._held[0]:
            self._release()
        if is_cell and b'"execution_state":"idle"' in content.replace(b" ", b""):
            self._held = (parent, stream, message)
            self._timer = IOLoop.current().call_later(IDLE_GRACE, self._release)
        else:
            self._forward(stream, message)

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is None:
            return
        _, stream, message = held
        IOLoop.current().remove_timeout(self._timer)
        if not stream.closed():
            self._forward(stream, message)

    def close(self) -> tuple[str, list[Any]] | None:
        """Called when the websocket closes: the channel and the message that were held, None for none."""
        held, self._held = self._held, None
        return None if held is None else (held[1].channel, held[2])
