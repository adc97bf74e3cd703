"""A kernel that the gateway itself asks for something."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import zmq

from .recorded import RecordedKernel
from .resource_limits import no_room

#: Seconds between two looks at a kernel that has not answered yet.
START_POLL = 0.2


def silent(code: str) -> dict[str, Any]:
    """The content of an execute_request that no notebook's history or count tells of."""
    return {"code": code, "silent": True, "store_history": False, "user_expressions": {}, "allow_stdin": False}


class AskedKernel(RecordedKernel):
    """Asks by connections of its own, beside those of the notebooks."""

    def _create_connected_socket(self, channel: str, identity: bytes | None = None) -> Any:
        """Called by jupyter_client for each socket that is connected to the kernel. Raises NoRoom."""
        try:
            return super()._create_connected_socket(channel, identity)
        except zmq.ZMQError as error:
            if error.errno != errno.EMFILE:
                raise
            raise no_room("sockets") from error

    @contextmanager
    def question(
        self, msg_type: str, content: dict[str, Any] | None = None, channel: str = "shell"
    ) -> Iterator[asyncio.Future[list[Any]]]:
        """Ask by a connection of its own; a future of the first reply's parts. Raises NoRoom."""
        reply: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        stream = getattr(self, f"connect_{channel}")()
        stream.on_recv_stream(lambda _, parts: None if reply.done() else reply.set_result(parts))
        try:
            self.session.clone().send(stream, msg_type, content)
            yield reply
        finally:
            stream.close()

    async def reply(self, msg_type: str, content: dict[str, Any] | None = None) -> list[Any] | None:
        """The reply to a request; None when the process dies instead, or is replaced by another."""
        launches = self.launches
        with self.question(msg_type, content) as reply:
            while not reply.done():
                if self.launches != launches or not await self.is_alive():
                    return None
                await asyncio.wait([reply], timeout=START_POLL)
        return reply.result()

    def content(self, parts: list[Any]) -> dict[str, Any]:
        """What a message says. Raises ValueError."""
        session = self.session.clone()
        return dict(session.deserialize(session.feed_identities(parts)[1])["content"])
