"""Whether a websocket's iopub socket hears its kernel. ZeroMQ does not tell, so the kernel is asked until it does.

Each answer of a kernel is published to all websockets, so they share the requests.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from jupyter_client.session import DELIM

from ...errors import NoRoom
from ...kernels.kernel import GatewayKernel

#: Seconds between two requests, at first and at most. ZeroMQ tries to connect again each 0.1 s (ZMQ_RECONNECT_IVL).
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 0.8
#: Seconds that a reply is waited for before the kernel is asked again, perhaps by another channel.
REPLY_TIMEOUT = 1.0


class IopubCheck:
    """Belongs to one kernel, which is an argument, so that this does not keep it alive."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[Any]] = set()
        self._requests: asyncio.Task[None] | None = None

    async def wait(self, kernel: GatewayKernel, heard: asyncio.Future[None]) -> None:
        """Have the kernel publish its status until `heard` is done."""
        self._waiting.add(heard)
        try:
            if self._requests is None or self._requests.done():
                self._requests = asyncio.ensure_future(self._ask(kernel))
            await heard
        finally:
            self._waiting.discard(heard)

    async def _ask(self, kernel: GatewayKernel) -> None:
        """Ask again and again, as long as somebody waits."""
        pause = FIRST_PAUSE
        while waiting := [heard for heard in self._waiting if not heard.done()]:
            with suppress(NoRoom):
                await self._ask_once(kernel, waiting)
            await asyncio.wait(waiting, timeout=pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _ask_once(self, kernel: GatewayKernel, waiting: list[asyncio.Future[Any]]) -> None:
        """Send a request, and wait for its reply or until all are heard.

        A request on the shell channel of a busy kernel would wait for its cells, so that goes by the control channel.
        jupyter_server does not ask a busy kernel (ZMQChannelsWebsocketConnection.nudge), and loses the output of a cell
        that is sent just before the kernel is through with the last one.
        """
        channel = "control" if kernel.execution_state == "busy" else "shell"
        with kernel.own_client.question("kernel_info_request", channel=channel) as reply:
            await asyncio.wait([reply, *waiting], timeout=REPLY_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)


_checks: WeakKeyDictionary[GatewayKernel, IopubCheck] = WeakKeyDictionary()


async def wait_until_heard(kernel: GatewayKernel, heard: asyncio.Future[None]) -> None:
    """Have the kernel publish its status until `heard` is done. Whoever hears the kernel sets it."""
    await _checks.setdefault(kernel, IopubCheck()).wait(kernel, heard)


def is_check_reply(kernel: GatewayKernel, message: list[Any]) -> bool:
    """Return whether a published message belongs to a request of the gateway's for the kernel's info.

    The notebook of a busy kernel would take such an idle status for the end of its cell.
    """
    if DELIM not in message[:-3]:
        return False
    parent = bytes(message[message.index(DELIM) + 3])
    return b'"kernel_info_request"' in parent and kernel.session.session.encode() in parent
