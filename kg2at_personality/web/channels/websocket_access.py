"""Whether the users of open websockets are still let in."""

from __future__ import annotations

import asyncio
from logging import Logger
from typing import Protocol


class OpenWebsocket(Protocol):
    """What is known here of a websocket."""

    async def is_still_allowed(self) -> bool:
        """Return whether its user would be let in again. Raises any exception while that can't be told."""

    def refuse(self) -> None:
        """Close it, and do nothing any more that its client says."""


class WebsocketAccess:
    """The open websockets of a gateway. All are looked at every `interval` seconds; None: never.

    While it can't be told who their users are, they stay open.
    """

    def __init__(self, interval: float | None, log: Logger) -> None:
        self._interval, self._log = interval, log
        self._open: set[OpenWebsocket] = set()
        self._looks: asyncio.Task[None] | None = None
        self._problem = ""

    def __len__(self) -> int:
        return len(self._open)

    def join(self, websocket: OpenWebsocket) -> None:
        """Called when a websocket opens."""
        self._open.add(websocket)
        if self._interval is not None and self._looks is None:
            self._looks = asyncio.create_task(self._look_again(self._interval))

    def leave(self, websocket: OpenWebsocket) -> None:
        """Called when it closes. Idempotent."""
        self._open.discard(websocket)
        if not self._open:
            self.close()

    def close(self) -> None:
        """Look at none any more until the next one opens. Called also when the gateway ends. Idempotent."""
        looks, self._looks = self._looks, None
        if looks is not None:
            looks.cancel()

    async def _look_again(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            problem = ""
            for websocket in list(self._open):
                problem = await self._look(websocket) or problem
            if problem and problem != self._problem:
                self._log.warning("Whether users of open websockets are still let in can't be told: %s", problem)
            self._problem = problem

    async def _look(self, websocket: OpenWebsocket) -> str:
        """Close it where its user is let in no more. Return why that can't be told, "" as a rule."""
        try:
            if not await websocket.is_still_allowed() and websocket in self._open:
                websocket.refuse()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""
