"""Sessions: the names of notebooks and the kernels that belong to them."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any
from weakref import WeakValueDictionary

from ..errors import UnknownKernel
from .jupyter_sessions import JupyterSessionManager
from .manager import GatewayKernelManager
from .user import ADMINISTRATOR, GatewayUser


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
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        #: Those that have ended, and whose they were.
        self._ended: dict[str, str] = {}

    async def get_or_create(
        self, path: str, kernel_name: str | None, kernel_id: str | None = None, user: GatewayUser = ADMINISTRATOR
    ) -> tuple[dict[str, Any], Begun]:
        """Return the session that `user` has of `path`, and what was begun for it.

        One that is there keeps its kernel, as in Jupyter Server. `kernel_id` is that of a kernel that runs, None for a
        new one. Raises UnknownKernel or CulledKernel, and what `start_kernel` raises.
        """
        manager = self.kernel_manager
        lock = self._locks.setdefault((user.name, path), asyncio.Lock())
        async with lock:
            self._forget_ended()
            if kernel_id is not None:
                self._check_kernel(kernel_id, user)
            for row in self.rows:
                if row["path"] == path and row["owner"] == user.name and self._is_seen(row, user):
                    return dict(self.row_to_model(row)), Begun.NOTHING
            if kernel_id is not None:
                return self._begin(path, kernel_id, user), Begun.ATTACHED
            started = await manager.start_kernel(path=path, kernel_name=kernel_name, user=user)
            return self._begin(path, started, user), Begun.WITH_KERNEL

    def _begin(self, path: str, kernel_id: str, user: GatewayUser) -> dict[str, Any]:
        """Return a new session of `user`."""
        return self.save_session(self.new_session_id(), path=path, kernel_id=kernel_id, owner=user.name)

    def _check_kernel(self, kernel_id: str, user: GatewayUser) -> None:
        """Raise UnknownKernel or CulledKernel for a kernel that does not run, or is another's."""
        manager = self.kernel_manager
        is_seen = user.sees(manager.owner_of(kernel_id))
        if is_seen and kernel_id not in manager:
            manager.stops.ended.check(kernel_id)
        if not is_seen or kernel_id not in manager:
            raise UnknownKernel(f"No such kernel: {kernel_id}. Leave out kernel.id to start one.")

    def exists_for(self, user: GatewayUser, session_id: str) -> bool:
        """Return whether there is, or was, such a session for this user; True for an administrator."""
        row = self.get_session_by_key("session_id", session_id)
        return user.sees(self._ended.get(session_id)) if row is None else self._is_seen(row, user)

    def _is_seen(self, row: dict[str, Any], user: GatewayUser) -> bool:
        """Return whether a session exists for this user: an administrator may give it a kernel of another's."""
        return user.sees(row["owner"]) and user.sees(self.kernel_manager.owner_of(row["kernel_id"]))

    def detach(self, session_id: str) -> None:
        """Forget a session, and leave its kernel as it is. No-op for one that is gone."""
        row = self.get_session_by_key("session_id", session_id)
        if row is not None:
            self.rows.remove(row)
            self._note(row["kernel_id"])

    # The rows of a kernel stand in its record too.

    def save_session(self, session_id: str, *args: Any, owner: str = "", **kwargs: Any) -> dict[str, Any]:
        """Called when a session has its kernel."""
        model: dict[str, Any] = super().save_session(session_id, *args, **kwargs)
        self.rows[-1]["owner"] = owner
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
        for kernel in self.kernel_manager.kernels():
            # Records of an earlier version hold no owners of sessions.
            self.rows.extend({"owner": kernel.owner} | row for row in kernel.sessions)

    async def delete_session(self, session_id: str, by: GatewayUser | None = None) -> None:
        """End a session and its kernel. Idempotent, also at the same time. Raises KeyError for a never-known id.

        `by` is who asks for it; None: the gateway.
        """
        row = self.get_session_by_key("session_id", session_id)
        if row is None:
            if session_id not in self._ended:
                raise KeyError(session_id)
            return
        self._ended[session_id] = row["owner"]
        await self.kernel_manager.shutdown_kernel(row["kernel_id"], by=by)
        self._forget_ended()

    def list_sessions(self, user: GatewayUser = ADMINISTRATOR, **kwargs: Any) -> list[dict[str, Any]]:
        """Return the sessions that `user` sees, whose kernels are listed."""
        self._forget_ended()
        return [dict(self.row_to_model(row)) for row in self.rows if self._is_seen(row, user)]

    def _forget_ended(self) -> None:
        """Remove the sessions of kernels that were shut down by themselves."""
        ended = [row for row in self.rows if row["kernel_id"] not in self.kernel_manager]
        for row in ended:
            self._ended.setdefault(row["session_id"], row["owner"])
        self.rows[:] = [row for row in self.rows if row not in ended]
