"""What a kernel sends, in parts: its signature first (jupyter_client.session.Session.serialize)."""

from __future__ import annotations

import json
from typing import Any

from jupyter_client.session import DELIM, Session

#: Where its parts stand; buffers follow from BUFFERS on.
HEADER, PARENT, CONTENT, BUFFERS = 1, 2, 4, 5


def parsed(part: bytes) -> dict[str, Any]:
    """Return a part of a message, parsed; {} when it is no JSON object, as the next reader will say."""
    try:
        value = json.loads(part)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def with_content(session: Session, parts: list[Any], content: dict[str, Any]) -> list[Any] | None:
    """Return the ZeroMQ message of `parts` with another content, signed anew; None when its signature is wrong."""
    signature, *signed = parts[:BUFFERS]
    if signature != session.sign(signed):
        return None
    signed[CONTENT - 1] = json.dumps(content).encode()
    return [DELIM, session.sign(signed), *signed, *parts[BUFFERS:]]
