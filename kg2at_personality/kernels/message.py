"""What a kernel sends, in parts: its signature first (jupyter_client.session.Session.serialize)."""

from __future__ import annotations

import json
import uuid
from typing import Any, Protocol

from jupyter_client.session import DELIM, Session

#: Where its parts stand; buffers follow from BUFFERS on.
HEADER, PARENT, CONTENT, BUFFERS = 1, 2, 4, 5


class Speaker(Protocol):
    """A kernel; `header_session` is the session that the headers of its messages name, "" until that is known."""

    header_session: str


def parsed(part: bytes) -> dict[str, Any]:
    """Return a part of a message, parsed; {} when it is no JSON object, as the next reader will say."""
    try:
        value = json.loads(part)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def spoken(
    speaker: Speaker, session: Session, msg_type: str, content: dict[str, Any], request: dict[str, Any]
) -> list[Any]:
    """Return a ZeroMQ message in a kernel's name; `request` is the header of what it is about.

    It names the kernel's session: when a message of another comes, JupyterLab cancels what it is handling, such as a
    comm (@jupyterlab/services, `_assertCurrentMessage` in kernel/default.ts).
    """
    message = session.msg(msg_type, content, parent={"header": request})
    message["header"]["session"] = speaker.header_session or session.session
    return list(session.serialize(message))


def with_content(session: Session, parts: list[Any], content: dict[str, Any]) -> list[Any] | None:
    """Return the ZeroMQ message of `parts` with another content, signed anew; None when its signature is wrong."""
    return _changed(session, parts, CONTENT, content)


def repeated(session: Session, message: list[Any]) -> list[Any]:
    """Return a ZeroMQ message for its second sending: with an id of its own, or as it is when its signature is wrong.

    The same signature twice would be refused (jupyter_client.session.Session.deserialize).
    """
    parts = message[message.index(DELIM) + 1 :]
    header = parsed(parts[HEADER]) | {"msg_id": uuid.uuid4().hex}
    return _changed(session, parts, HEADER, header) or message


def _changed(session: Session, parts: list[Any], place: int, value: dict[str, Any]) -> list[Any] | None:
    signature, *signed = parts[:BUFFERS]
    if signature != session.sign(signed):
        return None
    signed[place - 1] = json.dumps(value).encode()
    return [DELIM, session.sign(signed), *signed, *parts[BUFFERS:]]
