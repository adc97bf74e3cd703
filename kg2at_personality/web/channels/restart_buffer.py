"""What a notebook sends while its sockets find the kernel: kept back until the kernel is heard.

The sockets of a websocket that has opened, or whose kernel restarts, find the process one by one, each in its own time,
and what it publishes before the last of them has is lost: a notebook would wait for its cell's end for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ...errors import KernelDied
from ...kernels.kernel import GatewayKernel
from .iopub_check import be_heard

#: Seconds that a notebook's messages are kept back, at most, when a kernel has answered but isn't heard.
UNHEARD = 10.0


class RestartBuffer:
    """Belongs to one websocket.

    `send` takes a message of the notebook's to the kernel, `follow_ports` takes new sockets if the kernel has other
    ports than they are connected to.
    """

    def __init__(self, kernel: GatewayKernel, send: Callable[[Any], None], follow_ports: Callable[[], None]) -> None:
        self._kernel, self._send, self._follow_ports = kernel, send, follow_ports
        self._kept: list[Any] | None = None
        self._reunion: asyncio.Task[None] | None = None
        self._heard: asyncio.Future[None] | None = None
        kernel.observe(self._on_state, "execution_state")

    @property
    def kept(self) -> int:
        """How many messages are kept back."""
        return len(self._kept or ())

    def open(self) -> None:
        """Called when the websocket has its sockets: keep back what its notebook sends until they have the kernel."""
        self._keep()

    def keeps(self, message: Any) -> bool:
        """Whether `message` is kept back; the caller sends it when it is not."""
        if self._kept is None:
            return False
        self._kept.append(message)
        return True

    def hear(self) -> None:
        """Called for each message that the kernel publishes."""
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(None)

    def close(self) -> None:
        """Called when the websocket closes: what was kept back is sent, as its notebook was promised."""
        self._kernel.unobserve(self._on_state, "execution_state")
        self._end_reunion()
        self._send_kept()

    def _on_state(self, change: Any) -> None:
        """Called when the kernel's state changes."""
        if change["new"] == "starting":
            self._keep()

    def _keep(self) -> None:
        self._end_reunion()
        self._kept = self._kept or []
        self._reunion = asyncio.ensure_future(self._meet())

    def _end_reunion(self) -> None:
        if self._reunion is not None:
            self._reunion.cancel()

    async def _meet(self) -> None:
        try:
            await self._kernel.answered()
            self._follow_ports()
            self._heard = heard = asyncio.get_running_loop().create_future()
            await asyncio.wait_for(be_heard(self._kernel, heard), UNHEARD)
        except KernelDied:
            self._kept = []  # the notebook is told, and it was for no other process
        except asyncio.TimeoutError:
            kernel_id = self._kernel.kernel_id
            self._kernel.log.warning("Kernel %s answers, but nothing is heard of it for %g s", kernel_id, UNHEARD)
        self._send_kept()

    def _send_kept(self) -> None:
        kept, self._kept, self._heard = self._kept or (), None, None
        for message in kept:
            self._send(message)
