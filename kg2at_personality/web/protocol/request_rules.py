"""What the Jupyter message specification asks of a request.

Field by field: jupyter_client's documentation, «Messaging in Jupyter».
"""

from __future__ import annotations

from typing import Any

from .client_message import Message

#: The fields that each type of request must have, with their types.
REQUIRED: dict[str, dict[str, type]] = {
    "execute_request": {"code": str},
    "inspect_request": {"code": str, "cursor_pos": int},
    "complete_request": {"code": str, "cursor_pos": int},
    "is_complete_request": {"code": str},
    "comm_open": {"comm_id": str, "target_name": str},
    "comm_msg": {"comm_id": str},
    "comm_close": {"comm_id": str},
    "input_reply": {"value": str},
}
_TYPE_NAMES = {str: "a string", int: "a number"}
#: The fields of a header with the values that they get where a client left them out. Kernels take a header without
#: them for one of an older protocol, or drop the message.
HEADER: dict[str, Any] = {"username": "", "session": "", "version": "5.3"}


def problem(message: Message) -> str | None:
    """Return a sentence about the field that a message lacks or that has a wrong type; None when there is none.

    Raises MalformedMessage when its content is no JSON object.
    """
    for name, kind in REQUIRED.get(message.msg_type, {}).items():
        value = message.content.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            found = f"not {value!r:.40}" if name in message.content else "but it is missing"
            return f"{name!r} in the content of a {message.msg_type} must be {_TYPE_NAMES[kind]}, {found}."
    return None


def completed(message: Message) -> Message:
    """Return the message with every field of HEADER."""
    given = {name: value for name, value in message.header.items() if value is not None}
    return message if given.keys() >= HEADER.keys() else message.changed(header=HEADER | given)


def error_content(sentence: str, name: str = "RequestError") -> dict[str, Any]:
    """Return the content of a reply that refuses a request."""
    return {"status": "error", "ename": name, "evalue": sentence, "traceback": [sentence]}
