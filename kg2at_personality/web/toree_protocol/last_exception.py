"""The line `lastException = null`, which a Toree shows in the cell after one that failed.

Toree 0.5.0 forgets an error by an assignment in its interpreter. The interpreter's echo of it then stands first in the
output of the next cell, and its value is that cell's result if the cell has none of its own
(ScalaInterpreterSpecific.clearLastException, ScalaInterpreter.prepareResult).
"""

from __future__ import annotations

import json
from typing import Any

from jupyter_client.session import DELIM, Session

from ...kernels.message import CONTENT, HEADER, PARENT, with_content

_TEXT = "lastException = null\n"
_PLAIN = "text/plain"


class LastExceptionFilter:
    """Belongs to one websocket."""

    def __init__(self, session: Session) -> None:
        self._session = session
        #: The parent header of the output that had the line.
        self._parent = b""

    def without(self, parts: list[Any]) -> list[Any] | None:
        """Return the ZeroMQ message of `parts` (signature first) without the line; None when it says nothing else."""
        header, parent, content = (bytes(parts[place]) for place in (HEADER, PARENT, CONTENT))
        if b'"display_data"' in header and b"lastException = null" in content:
            return self._display(parts, parent, json.loads(content))
        is_result = parent == self._parent and b'"execute_result"' in header
        if is_result and json.loads(content).get("data") == {_PLAIN: "null"}:
            return None
        return [DELIM, *parts]

    def _display(self, parts: list[Any], parent: bytes, content: dict[str, Any]) -> list[Any] | None:
        text = str(content.get("data", {}).get(_PLAIN, ""))
        if not text.startswith(_TEXT):
            return [DELIM, *parts]
        self._parent = parent
        if text == _TEXT:
            return None
        content["data"][_PLAIN] = text[len(_TEXT) :]
        return with_content(self._session, parts, content) or [DELIM, *parts]
