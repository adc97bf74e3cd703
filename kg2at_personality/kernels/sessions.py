"""Sessions: the names of notebooks and the kernels that belong to them."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakValueDictionary

from kernel_gateway.services.sessions.sessionmanager import SessionManager


class GatewaySessionManager(SessionManager):  # type: ignore[misc]
    """Kernel Gateway's in-memory sessions; two requests for one path share one kernel."""

    def __init__(self, kernel_manager: Any, **kwargs: Any) -> None:
        super().__init__(kernel_manager, **kwargs)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get_or_create(self, path: str, kernel_name: str | None) -> tuple[dict[str, Any], bool]:
        """The session of `path`, and whether it is new, with a new kernel. Raises what `start_kernel` raises."""
        lock = self._locks.setdefault(path, asyncio.Lock())
        async with lock:
            self._forget_ended()
            if self.session_exists(path=path):
                return self.get_session(path=path), False
            return await self.create_session(path=path, kernel_name=kernel_name), True

    def list_sessions(self, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """The sessions whose kernels are listed."""
        self._forget_ended()
        return list(super().list_sessions())

    def _forget_ended(self) -> None:
        """A kernel that was shut down by itself takes its session along."""
        self._sessions[:] = [row for row in self._sessions if row["kernel_id"] in self.kernel_manager]
