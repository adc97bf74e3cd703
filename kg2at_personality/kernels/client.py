"""The gateway's own client of a kernel, beside those of the notebooks."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from logging import Logger
from typing import Any, Protocol, TypeVar

from jupyter_client.session import Session

from ..errors import NoRoom
from .timing import Timing

T = TypeVar("T")
#: How often a state is looked at before it counts as one that stays, and how many such pauses `start_poll` has.
STATE_LOOKS, STATE_PAUSES = 10, 40


class ClientHost(Protocol):
    """A manager, as a client of its kernel sees it."""

    timing: Timing


class ClientKernel(Protocol):
    """What a client needs of its kernel. `launches` is the number of its processes so far."""

    kernel_id: str
    session: Session
    launches: int
    execution_state: str
    log: Logger

    @property
    def parent(self) -> ClientHost: ...

    def is_alive(self) -> Awaitable[bool]: ...


def silent(code: str) -> dict[str, Any]:
    """Return the content of an execute_request that no notebook's history or count shows."""
    return {"code": code, "silent": True, "store_history": False, "user_expressions": {}, "allow_stdin": False}


class Conversation:
    """Requests by one socket, which reach the kernel in their order. Each is made when the last one is answered."""

    def __init__(self, stream: Any, session: Session) -> None:
        self._stream, self._session = stream, session
        self._reply: asyncio.Future[list[Any]] | None = None
        stream.on_recv_stream(self._take)

    def ask(self, msg_type: str, content: dict[str, Any] | None = None) -> asyncio.Future[list[Any]]:
        """Send a request. Return a future of the first reply's parts."""
        self._reply = asyncio.get_running_loop().create_future()
        self._session.clone().send(self._stream, msg_type, content)
        return self._reply

    def _take(self, _: Any, parts: list[Any]) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(parts)


class KernelClient:
    """Sends requests by sockets of its own, one for each conversation."""

    def __init__(self, kernel: ClientKernel) -> None:
        self._kernel = kernel

    @property
    def kernel(self) -> ClientKernel:
        """Return whose client it is."""
        return self._kernel

    @contextmanager
    def question(
        self, msg_type: str, content: dict[str, Any] | None = None, channel: str = "shell"
    ) -> Iterator[asyncio.Future[list[Any]]]:
        """Send a request and yield a future of the first reply's parts. Raises NoRoom."""
        with self.conversation(channel) as conversation:
            yield conversation.ask(msg_type, content)

    @contextmanager
    def conversation(self, channel: str = "shell") -> Iterator[Conversation]:
        """Yield what sends requests by one socket. Raises NoRoom."""
        stream = self.stream(channel)
        try:
            yield Conversation(stream, self._kernel.session)
        finally:
            stream.close()

    def stream(self, channel: str) -> Any:
        """Return a new ZMQStream to a channel of the kernel. Raises NoRoom."""
        return getattr(self._kernel, f"connect_{channel}")()

    async def reply(self, msg_type: str, content: dict[str, Any] | None = None) -> list[Any] | None:
        """Send a request and return its reply's parts; None when the process dies instead, or another replaces it.

        Raises NoRoom.
        """
        with self.question(msg_type, content) as reply:
            return await self.outcome(reply)

    async def outcome(self, future: asyncio.Future[T], limit: float = math.inf) -> T | None:
        """Return what a process comes to; None when it dies instead, or another replaces it.

        Raises asyncio.TimeoutError when it has come to nothing after `limit` seconds.
        """
        kernel, launches, begun = self._kernel, self._kernel.launches, time.monotonic()
        while not future.done():
            if kernel.launches != launches or not await kernel.is_alive():
                return None
            if time.monotonic() - begun > limit:
                raise asyncio.TimeoutError
            await asyncio.wait([future], timeout=kernel.parent.timing.start_poll)
        return future.result()

    async def cell_problem(self, reply: Awaitable[list[Any] | None], limit: float) -> str | None:
        """Wait for the reply to a cell, `limit` seconds at most. Return what went wrong, or ""; None when it died."""
        try:
            parts = await asyncio.wait_for(reply, limit)
            said = {} if parts is None else self.content(parts)
        except (asyncio.TimeoutError, ValueError, NoRoom) as error:
            parts, said = [], {"ename": type(error).__name__, "evalue": error}
        if parts is None:
            return None
        return "" if said.get("status") == "ok" else f"{said.get('ename')}: {said.get('evalue')}"

    def content(self, parts: list[Any]) -> dict[str, Any]:
        """Return the content of a message. Raises ValueError."""
        return self.message(parts)[1]

    def message(self, parts: list[Any]) -> tuple[str, dict[str, Any]]:
        """Return the type and the content of a message. Raises ValueError."""
        session = self._kernel.session.clone()
        message = session.deserialize(session.feed_identities(parts)[1])
        return str(message["msg_type"]), dict(message["content"])

    async def has_left(self, state: str) -> bool:
        """Wait a moment for the manager to learn that the kernel leaves `state`. Return whether it did."""
        for _ in range(STATE_LOOKS):
            if self._kernel.execution_state != state:
                return True
            await asyncio.sleep(self._kernel.parent.timing.start_poll / STATE_PAUSES)
        return False
