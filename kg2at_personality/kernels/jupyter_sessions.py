"""Kernel Gateway's manager of sessions, with a public name for the private one that kg2at needs.

It holds nothing of kg2at's own. tests/test_library_contracts.py lists the name.
"""

from __future__ import annotations

from typing import Any

from kernel_gateway.services.sessions.sessionmanager import SessionManager


class JupyterSessionManager(SessionManager):  # type: ignore[misc]
    """Kernel Gateway's in-memory sessions."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the list that holds all of them (`_sessions`): `session_id`, `path` and `kernel_id` of each.

        `list_sessions` returns models instead, and raises KeyError when one's kernel is gone.
        """
        rows: list[dict[str, Any]] = self._sessions
        return rows
