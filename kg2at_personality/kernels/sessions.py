"""Sessions: the names of notebooks and the kernels that belong to them."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any
from weakref import WeakValueDictionary

from ..errors import UnknownKernel
from .jupyter_sessions import JupyterSessionManager
from .manager import GatewayKernelManager


class Begun(Enum):
    """What was begun for a request of a session."""

    NOTHING = "it was there"
    ATTACHED = "a session of a kernel that runs"
    WITH_KERNEL = "a session and its kernel"


class GatewaySessionManager(JupyterSessionManager):
    """Kernel Gateway's in-memory sessions; two requests for one path share one kernel."""

    kernel_manager: GatewayKernelManager

    def __init__(self, kernel_manager: GatewayKernelManager, **kwargs: Any) -> None:
        super().__init__(kernel_manager, **kwargs)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._ended: set[str] = set()

    async def get_or_create(
        self, path: str, kernel_name: str | None, kernel_id: str | None = None
    ) -> tuple[dict[str, Any], Begun]:
        """Return the session of `path`, and what was begun for it.

        One that is there keeps its kernel, as in Jupyter Server. `kernel_id` is that of a kernel that runs, None for a
        new one. Raises UnknownKernel or CulledKernel, and what `start_kernel` raises.
        """
        lock = self._locks.setdefault(path, asyncio.Lock())
        async with lock:
            self._forget_ended()
            if kernel_id is not None and kernel_id not in self.kernel_manager:
                self.kernel_manager.stops.ended.check(kernel_id)
                raise UnknownKernel(f"No such kernel: {kernel_id}. Leave out kernel.id to start one.")
            if self.session_exists(path=path):
                return self.get_session(path=path), Begun.NOTHING
            if kernel_id is not None:
                return self.save_session(self.new_session_id(), path=path, kernel_id=kernel_id), Begun.ATTACHED
            return await self.create_session(path=path, kernel_name=kernel_name), Begun.WITH_KERNEL

    def detach(self, session_id: str) -> None:
        """Forget a session, and leave its kernel as it is. No-op for one that is gone."""
        row = self.get_session_by_key("session_id", session_id)
        if row is not None:
            self.rows.remove(row)
            self._note(row["kernel_id"])

    # The rows of a kernel stand in its record too.

    def save_session(self, session_id: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Called when a session has its kernel."""
        model: dict[str, Any] = super().save_session(session_id, *args, **kwargs)
        self._note(model["kernel"]["id"])
        return model

    def update_session(self, session_id: str, *args: Any, **kwargs: Any) -> None:
        """Called when a notebook is renamed or gets another kernel. Raises KeyError for a never-known one."""
        row = self.get_session_by_key("session_id", session_id) or {}
        before = row.get("kernel_id")
        super().update_session(session_id, *args, **kwargs)
        for kernel_id in {before, row.get("kernel_id")}:
            self._note(kernel_id)

    def _note(self, kernel_id: str | None) -> None:
        if kernel_id is not None and kernel_id in self.kernel_manager:
            kernel = self.kernel_manager.get_kernel(kernel_id)
            kernel.sessions = [row for row in self.rows if row["kernel_id"] == kernel_id]
            kernel.recorder.write_if_possible()

    def restore(self) -> None:
        """Add the sessions of the kernels that were taken over. Called once, before anybody is served."""
        for kernel_id in self.kernel_manager.list_kernel_ids():
            self.rows.extend(self.kernel_manager.get_kernel(kernel_id).sessions)

    async def delete_session(self, session_id: str, *args: Any, **kwargs: Any) -> None:
        """End a session and its kernel. Idempotent, also at the same time. Raises KeyError for a never-known id."""
        row = self.get_session_by_key("session_id", session_id)
        if row is None:
            if session_id not in self._ended:
                raise KeyError(session_id)
            return
        self._ended.add(session_id)
        await self.kernel_manager.shutdown_kernel(row["kernel_id"])
        self._forget_ended()

    def list_sessions(self, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """Return the sessions whose kernels are listed."""
        self._forget_ended()
        return list(super().list_sessions())

    def _forget_ended(self) -> None:
        """Remove the sessions of kernels that were shut down by themselves."""
        ended = [row for row in self.rows if row["kernel_id"] not in self.kernel_manager]
        self._ended.update(row["session_id"] for row in ended)
        self.rows[:] = [row for row in self.rows if row not in ended]
