"""What a notebook sends while its websocket's sockets connect to the kernel: kept back until the kernel is heard.

When a websocket opens, or its kernel restarts, its sockets connect to the kernel's process one by one, each in its own
time. What the kernel publishes before the iopub socket is connected is lost, and a notebook would wait for the end of
its cell for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ...errors import KernelDied
from ...kernels.kernel import GatewayKernel
from .iopub_check import wait_until_heard

#: Seconds that messages are kept back at most when a kernel has answered, but isn't heard.
CHECK_TIMEOUT = 10.0


class RestartBuffer:
    """Belongs to one websocket.

    `send` takes a message of the notebook's to the kernel, `follow_ports` takes new sockets if the kernel has other
    ports than they are connected to. After `check_timeout` seconds the messages are sent though the kernel isn't heard.
    """

    def __init__(
        self,
        kernel: GatewayKernel,
        send: Callable[[str | bytes], None],
        follow_ports: Callable[[], None],
        check_timeout: float = CHECK_TIMEOUT,
    ) -> None:
        self._kernel, self._send, self._follow_ports, self._check_timeout = kernel, send, follow_ports, check_timeout
        self._kept: list[str | bytes] | None = None
        self._check: asyncio.Task[None] | None = None
        self._heard: asyncio.Future[None] | None = None
        kernel.observe(self._on_state, "execution_state")

    @property
    def kept(self) -> int:
        """How many messages are kept back."""
        return len(self._kept or ())

    def open(self) -> None:
        """Keep back messages until the kernel is heard. Called when the websocket has its sockets."""
        self._keep()

    def keeps(self, message: str | bytes) -> bool:
        """Keep a message back if need be; return whether that was done. The caller sends it otherwise."""
        if self._kept is None:
            return False
        self._kept.append(message)
        return True

    def hear(self) -> None:
        """Called for each message that the kernel publishes."""
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(None)

    def close(self) -> None:
        """Send what is kept back: the notebook's user expects it to run. Called when the websocket closes."""
        self._kernel.unobserve(self._on_state, "execution_state")
        self._end_check()
        self._send_kept()

    def _on_state(self, change: Any) -> None:
        """Called when the kernel's state changes."""
        if change["new"] == "starting":
            self._keep()

    def _keep(self) -> None:
        self._end_check()
        self._kept = self._kept or []
        self._check = asyncio.ensure_future(self._send_when_heard())

    def _end_check(self) -> None:
        if self._check is not None:
            self._check.cancel()

    async def _send_when_heard(self) -> None:
        try:
            await self._kernel.answered()
            self._follow_ports()
            self._heard = heard = asyncio.get_running_loop().create_future()
            await asyncio.wait_for(wait_until_heard(self._kernel, heard), self._check_timeout)
        except KernelDied:
            # The messages were for that process and no other; the notebook is told of its death.
            self._kept = []
        except asyncio.TimeoutError:
            kernel_id, seconds = self._kernel.kernel_id, self._check_timeout
            self._kernel.log.warning("Kernel %s answers, but nothing is heard of it for %g s", kernel_id, seconds)
        self._send_kept()

    def _send_kept(self) -> None:
        kept, self._kept, self._heard = self._kept or (), None, None
        for message in kept:
            self._send(message)
