"""Whether a websocket's socket hears what its kernel publishes, which nobody tells: the kernel is asked until it does.

All websockets of a kernel share the questions, for each answer goes to all of them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from jupyter_client.session import DELIM

from ...errors import NoRoom
from ...kernels.kernel import GatewayKernel

#: Seconds between two questions at first and later; ZeroMQ tries to connect again each 0.1 s (ZMQ_RECONNECT_IVL).
ASK_AGAIN, ASK_LATER = 0.1, 0.8
#: Seconds that an answer is waited for before it is asked again, perhaps by another channel.
UNANSWERED = 1.0


class IopubCheck:
    """Belongs to one kernel."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[Any]] = set()
        self._questions: asyncio.Task[None] | None = None

    async def wait(self, kernel: GatewayKernel, heard: asyncio.Future[None]) -> None:
        """Have the kernel publish its status until `heard` is done."""
        self._waiting.add(heard)
        try:
            if self._questions is None or self._questions.done():
                self._questions = asyncio.ensure_future(self._ask(kernel))
            await heard
        finally:
            self._waiting.discard(heard)

    async def _ask(self, kernel: GatewayKernel) -> None:
        pause = ASK_AGAIN
        while waiting := [heard for heard in self._waiting if not heard.done()]:
            with suppress(NoRoom):
                await self._ask_once(kernel, waiting)
            await asyncio.wait(waiting, timeout=pause)
            pause = min(2 * pause, ASK_LATER)

    async def _ask_once(self, kernel: GatewayKernel, waiting: list[asyncio.Future[Any]]) -> None:
        """What is asked of a busy kernel on its shell channel would wait for its cells.

        jupyter_server asks it nothing (ZMQChannelsWebsocketConnection.nudge), and loses the output of a cell that is
        sent just before the kernel is through with the last one.
        """
        channel = "control" if kernel.execution_state == "busy" else "shell"
        with kernel.own_client.question("kernel_info_request", channel=channel) as reply:
            await asyncio.wait([reply, *waiting], timeout=UNANSWERED, return_when=asyncio.FIRST_COMPLETED)


_hearings: WeakKeyDictionary[GatewayKernel, IopubCheck] = WeakKeyDictionary()


async def be_heard(kernel: GatewayKernel, heard: asyncio.Future[None]) -> None:
    """Have `kernel` publish its status until whoever waits for it sets `heard`."""
    await _hearings.setdefault(kernel, IopubCheck()).wait(kernel, heard)


def is_for_us(kernel: GatewayKernel, message: list[Any]) -> bool:
    """Whether `message` only tells of what was asked here: the notebook of a busy kernel would take it for idle."""
    if DELIM not in message[:-3]:
        return False
    parent = bytes(message[message.index(DELIM) + 3])
    return b'"kernel_info_request"' in parent and kernel.session.session.encode() in parent
