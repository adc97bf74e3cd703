"""What Toree asks of a request beyond the Jupyter message specification, and the requests that it does not know."""

from __future__ import annotations

from typing import Any

from ..protocol.client_message import MalformedMessage, Message
from ..protocol.request_rules import HEADER, error_content

#: The requests that Toree 0.5.0 answers (HandlerInitialization, MessageType). It ignores all others.
_ANSWERED = (
    "execute_request",
    "complete_request",
    "is_complete_request",
    "kernel_info_request",
    "comm_info_request",
    "shutdown_request",
)
#: The contents of the gateway's replies to others, as of a kernel that finds nothing.
_NOT_FOUND: dict[str, dict[str, Any]] = {
    "inspect_request": {"status": "ok", "found": False, "data": {}, "metadata": {}},
    "history_request": {"status": "ok", "history": []},
}
#: The fields without which Toree does not run a cell (ExecuteRequest), with Jupyter's defaults.
_EXECUTE: dict[str, Any] = {"silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}


def reply_content(message: Message) -> dict[str, Any] | None:
    """Return the content of the reply to a request that Toree does not answer; None for one that it does."""
    if not message.msg_type.endswith("_request") or message.msg_type in _ANSWERED:
        return None
    return _NOT_FOUND.get(message.msg_type) or error_content(f"Toree knows no {message.msg_type:.60}.")


def for_toree(message: Message) -> Message:
    """Return a message with all that Toree needs, in ASCII, so that a Toree of any charset computes its signature.

    Its buffers are left out: Toree takes them for its parts and finds the signature wrong. Raises MalformedMessage.
    """
    for name in HEADER:
        if not isinstance(message.header[name], str):
            raise MalformedMessage(f"{name} in its header is no string")
    return message.changed(content=_content_for_toree(message)).in_ascii()


def _content_for_toree(message: Message) -> dict[str, Any]:
    content = message.content
    if message.msg_type == "execute_request":
        given = {name: value for name, value in content.items() if isinstance(value, type(_EXECUTE.get(name, value)))}
        # Toree refuses a cell with an expression that is no string.
        expressions = given.get("user_expressions", {})
        texts = {name: value for name, value in expressions.items() if isinstance(value, str)}
        return _EXECUTE | given | {"user_expressions": texts}
    if message.msg_type == "complete_request":
        return content | {"cursor_pos": min(max(content["cursor_pos"], 0), len(content["code"]))}
    return content
