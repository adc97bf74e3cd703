"""A kernel's heartbeat: a request that it answers at once, unless its process stands still."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zmq

from ...errors import NoRoom
from ...kernels.kernel import GatewayKernel


class Heartbeat:
    """Belongs to one websocket. Takes a socket of its own when it is first asked."""

    def __init__(self, kernel: GatewayKernel) -> None:
        self._kernel = kernel
        self._ports: list[int] = []
        self._stream: Any = None
        self._calls: list[Callable[[], None]] = []

    def ask(self, call: Callable[[], None]) -> None:
        """Call `call` when the kernel has answered; never when it doesn't, or no socket is left."""
        self._calls.append(call)
        try:
            self._connected().send(b"ping")
        except (zmq.ZMQError, NoRoom) as error:
            self._kernel.log.warning("Kernel %s can't be asked for its heartbeat: %s", self._kernel.kernel_id, error)

    def _connected(self) -> Any:
        """Return the socket, connected to the kernel's present port. Raises NoRoom."""
        if self._stream is None or self._ports != list(self._kernel.ports):
            self.close()
            self._ports, self._stream = list(self._kernel.ports), self._kernel.connect_hb()
            # Without them a REQ socket sends nothing after a request that was not answered (zmq_setsockopt).
            self._stream.setsockopt(zmq.REQ_CORRELATE, 1)
            self._stream.setsockopt(zmq.REQ_RELAXED, 1)
            self._stream.on_recv(self._on_answer)
        return self._stream

    def _on_answer(self, _: list[bytes]) -> None:
        calls, self._calls = self._calls, []
        for call in calls:
            call()

    def close(self) -> None:
        """Close the socket. Called when the websocket closes. Idempotent."""
        stream, self._stream = self._stream, None
        if stream is not None and not stream.closed():
            stream.close(linger=0)
