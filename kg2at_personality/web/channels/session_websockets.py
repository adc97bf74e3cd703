"""The open websockets of one session: one as a rule, two or three while its client opens another.

A client may close its websocket and open another, and both requests may reach the gateway in the reverse order. So the
newest is not always the one that the client uses: all are served until one of them is silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol
from weakref import WeakValueDictionary

#: Seconds after which a websocket is closed that has sent nothing since another one of its session did. What a client
#: does first with a websocket is to send.
SILENCE = 2.0


class SessionWebsocket(Protocol):
    """What is known here of a websocket."""

    @property
    def channels(self) -> dict[str, Any]:
        """Its ZeroMQ streams by channel, which all websockets of the session share."""

    @property
    def is_closing(self) -> bool:
        """Whether it is being closed; what its client has sent before still arrives."""

    def listen(self) -> None:
        """Hand what arrives at the streams to all websockets of the session."""

    def end(self) -> None:
        """Close it, and tell its client."""

    def together(self) -> AbstractContextManager[None]:
        """Return a context in which messages to the notebook are collected for one write."""

    def handle_outgoing_message(self, stream: Any, message: list[Any]) -> None:
        """Called for each message from the kernel."""


class SessionWebsockets:
    """They share the session's ZeroMQ sockets: each gets what the kernel sends, and each may send to the kernel.

    One that has sent nothing for `silence` seconds, while another did, is closed: its client is gone.
    """

    def __init__(self, silence: float = SILENCE) -> None:
        self._silence = silence
        #: When each opened, or sent something last, in seconds of the loop's clock.
        self._active: dict[SessionWebsocket, float] = {}
        self._checks: dict[SessionWebsocket, asyncio.TimerHandle] = {}

    @property
    def all(self) -> list[SessionWebsocket]:
        """Those that are open, the one that has been silent for longest first."""
        return sorted(self._active, key=self._active.__getitem__)

    @property
    def checks(self) -> int:
        """How many websockets have sent something of late, so that the silent ones will be looked for."""
        return len(self._checks)

    def join(self, websocket: SessionWebsocket) -> None:
        """Called when a websocket has its sockets."""
        self._active[websocket] = asyncio.get_running_loop().time()

    def leave(self, websocket: SessionWebsocket) -> None:
        """Called when it closes. Idempotent."""
        self._active.pop(websocket, None)
        check = self._checks.pop(websocket, None)
        if check is not None:
            check.cancel()

    def other_than(self, websocket: SessionWebsocket) -> SessionWebsocket | None:
        """Return another one that is open; None when there is none."""
        return next((other for other in self._active if other is not websocket), None)

    def hear(self, stream: Any, messages: Iterable[list[Any]]) -> None:
        """Give messages from the kernel, which arrived together, to all websockets."""
        with ExitStack() as together:
            for websocket in self._active:
                together.enter_context(websocket.together())
            for message in messages:
                for websocket in list(self._active):
                    websocket.handle_outgoing_message(stream, message)

    def note_message(self, websocket: SessionWebsocket) -> None:
        """Called when a websocket's client has sent a message."""
        if websocket.is_closing or websocket not in self._active:
            return
        loop = asyncio.get_running_loop()
        self._active[websocket] = now = loop.time()
        if len(self._active) > 1 and websocket not in self._checks:
            self._checks[websocket] = loop.call_later(self._silence, self._end_silent, websocket, now)

    def _end_silent(self, websocket: SessionWebsocket, when: float) -> None:
        """Close those that have sent nothing since `websocket` did."""
        del self._checks[websocket]
        for other, active in list(self._active.items()):
            if other is not websocket and active <= when:
                other.end()


_sessions: WeakValueDictionary[str, SessionWebsockets] = WeakValueDictionary()


def session_of(key: str, silence: float = SILENCE) -> SessionWebsockets:
    """Return the open websockets of the session `key`, which names the kernel as well.

    They are kept as long as somebody refers to them, as each of the websockets does.
    """
    return _sessions.setdefault(key, SessionWebsockets(silence))
