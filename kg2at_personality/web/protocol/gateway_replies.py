"""What the gateway replies to a notebook in its kernel's place, as a kernel would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_client.session import Session

from ...kernels.message import Speaker, spoken
from .client_message import Message
from .request_rules import error_content


class GatewayReplies:
    """Belongs to one websocket. `forward` takes a channel's name and a ZeroMQ message on to the notebook."""

    def __init__(self, kernel: Speaker, session: Session, forward: Callable[[str, list[Any]], None]) -> None:
        self._kernel, self._session, self._forward = kernel, session, forward

    def reply(self, message: Message, content: dict[str, Any], *, shown: dict[str, Any] | None = None) -> None:
        """Reply to a request, between the statuses busy and idle; `shown` is the content of an error for its cell.

        What is no request gets the statuses alone.
        """
        header = message.header
        self._publish(header, "status", {"execution_state": "busy"})
        if shown is not None:
            self._publish(header, "error", shown)
        kind, is_request, _ = message.msg_type.rpartition("_request")
        if is_request:
            self._send(header, message.channel, f"{kind}_reply", content)
        self._publish(header, "status", {"execution_state": "idle"})

    def refuse(self, message: Message, sentence: str) -> None:
        """Reply that a message can't go to the kernel. `sentence` says why; if it is a cell, the cell shows it."""
        content = error_content(sentence)
        if message.msg_type != "execute_request":
            self.reply(message, content)
            return
        self.reply(message, content | {"execution_count": 0}, shown=_shown(content))

    def end(self, header: dict[str, Any], content: dict[str, Any]) -> None:
        """End a cell, whose execute_request has `header`, with an error in the place of a kernel that has begun it."""
        self._publish(header, "error", _shown(content))
        self._send(header, "shell", "execute_reply", content | {"execution_count": 0})
        self._publish(header, "status", {"execution_state": "idle"})

    def abort(self, message: Message) -> None:
        """Reply to a cell that is not run as one before it failed (jupyter_client's documentation, «aborted»)."""
        self.reply(message, {"status": "aborted"})

    def _publish(self, header: dict[str, Any], msg_type: str, content: dict[str, Any]) -> None:
        self._send(header, "iopub", msg_type, content)

    def _send(self, header: dict[str, Any], channel: str, msg_type: str, content: dict[str, Any]) -> None:
        self._forward(channel, spoken(self._kernel, self._session, msg_type, content, header))


def _shown(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of the error that a cell shows, of the content of its reply."""
    return {name: content[name] for name in ("ename", "evalue", "traceback")}
