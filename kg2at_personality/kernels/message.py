"""What a kernel sends, in parts: its signature first (jupyter_client.session.Session.serialize)."""

from __future__ import annotations

import json
from typing import Any

from jupyter_client.session import DELIM, Session

#: Where its parts stand; buffers follow from BUFFERS on.
HEADER, PARENT, CONTENT, BUFFERS = 1, 2, 4, 5


def parsed(part: bytes) -> dict[str, Any]:
    """A part of a message; empty when it is no JSON object, so that whoever parses it next tells so."""
    try:
        value = json.loads(part)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def with_content(session: Session, parts: list[Any], content: dict[str, Any]) -> list[Any] | None:
    """The ZeroMQ message of `parts` with another content, signed anew; None when it was not signed rightly."""
    signature, *signed = parts[:BUFFERS]
    if signature != session.sign(signed):
        return None
    signed[CONTENT - 1] = json.dumps(content).encode()
    return [DELIM, session.sign(signed), *signed, *parts[BUFFERS:]]
