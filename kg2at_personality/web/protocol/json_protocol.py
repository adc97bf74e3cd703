"""The older of jupyter_server's two websocket protocols: a message as a JSON text, made without parsing its parts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hmac import compare_digest
from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_client.session import Session, utcnow

#: How many parts a message without buffers has: signature, header, parent header, metadata, content.
PARTS = 5
FRAME = (
    b'{"header": %b, "msg_id": %b, "msg_type": %b, "parent_header": %b, "metadata": %b, "content": %b, '
    b'"buffers": [], "channel": "%b"}'
)


def json_frame(session: Session, channel: str, parts: Sequence[Any]) -> bytes | None:
    """Return the text that jupyter_server makes of a message, signature first.

    None for a message that jupyter_server has to make itself, as it has buffers, a date without a time zone, or another
    version of the message specification. Raises ValueError for a wrong signature, ValueError or TypeError for a
    malformed message.
    """
    if len(parts) != PARTS:
        return None
    signature, header, parent, metadata, content = parts
    if session.auth is not None and not compare_digest(signature, session.sign(list(parts[1:]))):
        raise ValueError("its signature is wrong")
    parsed = json.loads(header)
    if not str(parsed.get("version")).startswith("5.") or not (_is_utc(parsed) and _is_utc(json.loads(parent))):
        return None
    if "date" not in parsed:  # as a Toree's; jupyter_client.adapter adds one
        header = json.dumps(parsed | {"date": utcnow()}, default=json_default).encode()
    ids = (json.dumps(parsed[name]).encode() for name in ("msg_id", "msg_type"))
    text = FRAME % (header, *ids, parent, metadata, content, channel.encode())
    return text if metadata[:1] == content[:1] == b"{" and _is_utf8(text) else None


def _is_utc(header: dict[str, Any]) -> bool:
    """Return whether the header's date, if it has one, is in UTC, as jupyter_server writes it."""
    return str(header.get("date", "Z")).endswith("Z")


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
