"""What a request must say, by the Jupyter message specification, and what kg2at answers in a Toree's place.

Field by field: jupyter_client's documentation, «Messaging in Jupyter».
"""

from __future__ import annotations

from typing import Any

from .client_message import MalformedMessage, Message

#: The fields that each request must have, with their types.
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
_NAMES = {str: "a string", int: "a number"}

#: The requests that Toree 0.5.0 answers (HandlerInitialization, MessageType); it ignores others without a word.
_TOREE_ANSWERS = (
    "execute_request",
    "complete_request",
    "is_complete_request",
    "kernel_info_request",
    "comm_info_request",
    "shutdown_request",
)
#: What kg2at answers to others: Toree knows nothing of it.
_NOT_FOUND: dict[str, dict[str, Any]] = {
    "inspect_request": {"status": "ok", "found": False, "data": {}, "metadata": {}},
    "history_request": {"status": "ok", "history": []},
}
#: What a header says where its client left it out: kernels take it for a message of an older protocol, or drop it.
_HEADER: dict[str, Any] = {"username": "", "session": "", "version": "5.3"}
# What Toree does not run a cell without (ExecuteRequest).
_EXECUTE: dict[str, Any] = {"silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}


def problem(message: Message) -> str | None:
    """Why `message` lacks what the specification asks of it, as a sentence; None when it does not.

    Raises MalformedMessage when its content is no JSON object.
    """
    for name, kind in REQUIRED.get(message.msg_type, {}).items():
        value = message.content.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            said = f"not {value!r:.40}" if name in message.content else "but it is missing"
            return f"{name!r} in the content of a {message.msg_type} must be {_NAMES[kind]}, {said}."
    return None


def answer_for_toree(message: Message) -> dict[str, Any] | None:
    """The content of the reply to a request that Toree never answers; None for those it does."""
    if not message.msg_type.endswith("_request") or message.msg_type in _TOREE_ANSWERS:
        return None
    return _NOT_FOUND.get(message.msg_type) or error(f"Toree knows no {message.msg_type:.60}.")


def completed(message: Message) -> Message:
    """`message` with a whole header."""
    given = {name: value for name, value in message.header.items() if value is not None}
    return message if given.keys() >= _HEADER.keys() else message.changed(header=_HEADER | given)


def for_toree(message: Message) -> Message:
    """A message with all that Toree needs, in ASCII, whose signature a Toree of any charset computes as Jupyter does.

    Its buffers are left out: Toree takes them for its parts and finds the signature wrong. Raises MalformedMessage.
    """
    for name in _HEADER:
        if not isinstance(message.header[name], str):
            raise MalformedMessage(f"{name} in its header is no string")
    return message.changed(content=_content_for_toree(message)).in_ascii()


def _content_for_toree(message: Message) -> dict[str, Any]:
    content = message.content
    if message.msg_type == "execute_request":
        given = {name: value for name, value in content.items() if isinstance(value, type(_EXECUTE.get(name, value)))}
        # Toree knows only texts there, and refuses the cell for others.
        expressions = given.get("user_expressions", {})
        texts = {name: value for name, value in expressions.items() if isinstance(value, str)}
        return _EXECUTE | given | {"user_expressions": texts}
    if message.msg_type == "complete_request":
        return content | {"cursor_pos": min(max(content["cursor_pos"], 0), len(content["code"]))}
    return content


def error(sentence: str, name: str = "RequestError") -> dict[str, Any]:
    """The content of a reply that refuses a request."""
    return {"status": "error", "ename": name, "evalue": sentence, "traceback": [sentence]}
