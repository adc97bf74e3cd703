"""The open websockets of one session: one as a rule, two or three while its notebook opens another.

A client that drops its websocket and opens another may reach the gateway in the reverse order, so that the newest is
not always the one that lives. All are served until that shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol
from weakref import WeakValueDictionary

#: Seconds that a websocket may be silent after another of its session has spoken. A client speaks first of all.
SILENT = 2.0


class Connection(Protocol):
    """What is known of a websocket here."""

    @property
    def is_closing(self) -> bool:
        """Whether its end is under way; what its client has sent until then still arrives."""

    def end(self) -> None:
        """Close it, as a client is told of that."""

    def together(self) -> AbstractContextManager[None]:
        """While it lasts, what goes to the notebook is kept for one write."""

    def handle_outgoing_message(self, stream: Any, message: list[Any]) -> None:
        """Called for each message from the kernel."""


class SessionWebsockets:
    """They share the session's sockets: what the kernel says goes to each, and what any of them sends is run.

    One that has said nothing since it opened, nor for SILENT seconds since another spoke, is a client's that has gone.
    """

    def __init__(self) -> None:
        #: When each opened, or spoke last, by the loop's clock in seconds.
        self._active: dict[Connection, float] = {}
        self._checks: dict[Connection, asyncio.TimerHandle] = {}

    @property
    def all(self) -> list[Any]:
        """Those that are open, the one that has been silent for longest first."""
        return sorted(self._active, key=self._active.__getitem__)

    def join(self, connection: Connection) -> None:
        """Called when a websocket has its sockets."""
        self._active[connection] = asyncio.get_running_loop().time()

    def leave(self, connection: Connection) -> None:
        """Called when it closes."""
        self._active.pop(connection, None)
        check = self._checks.pop(connection, None)
        if check is not None:
            check.cancel()

    def beside(self, connection: Connection) -> Any:
        """Another one that is open; None when there is none."""
        return next((other for other in self._active if other is not connection), None)

    def hear(self, stream: Any, messages: Iterable[list[Any]]) -> None:
        """Called for what the kernel says, and is there together."""
        with ExitStack() as together:
            for connection in self._active:
                together.enter_context(connection.together())
            for message in messages:
                for connection in list(self._active):
                    connection.handle_outgoing_message(stream, message)

    def spoke(self, connection: Connection) -> None:
        """Called when a notebook has sent a message."""
        if connection.is_closing or connection not in self._active:
            return
        loop = asyncio.get_running_loop()
        self._active[connection] = now = loop.time()
        if len(self._active) > 1 and connection not in self._checks:
            self._checks[connection] = loop.call_later(SILENT, self._end_silent, connection, now)

    def _end_silent(self, connection: Connection, when: float) -> None:
        """End those that nobody has heard since `connection` spoke."""
        del self._checks[connection]
        for other, active in list(self._active.items()):
            if other is not connection and active <= when:
                other.end()


_sessions: WeakValueDictionary[str, SessionWebsockets] = WeakValueDictionary()


def session_of(key: str) -> SessionWebsockets:
    """The open websockets of the session `key`, which names the kernel as well. Each of them has to keep hold of it."""
    return _sessions.setdefault(key, SessionWebsockets())
