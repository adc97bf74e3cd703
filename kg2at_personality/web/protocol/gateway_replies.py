"""What the gateway replies to a notebook in its kernel's place, as a kernel would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_client.session import Session

from .client_message import Message
from .request_rules import error_content


class GatewayReplies:
    """Belongs to one websocket. `forward` takes a channel's name and a ZeroMQ message on to the notebook."""

    def __init__(self, session: Session, forward: Callable[[str, list[Any]], None]) -> None:
        self._session, self._forward = session, forward

    def reply(self, message: Message, content: dict[str, Any], *, shown: dict[str, Any] | None = None) -> None:
        """Reply to a request, between the statuses busy and idle; `shown` is the content of an error for its cell.

        What is no request gets the statuses alone.
        """
        self._publish(message, "status", {"execution_state": "busy"})
        if shown is not None:
            self._publish(message, "error", shown)
        kind, is_request, _ = message.msg_type.rpartition("_request")
        if is_request:
            self._send(message, message.channel, f"{kind}_reply", content)
        self._publish(message, "status", {"execution_state": "idle"})

    def refuse(self, message: Message, sentence: str) -> None:
        """Reply that a message can't go to the kernel. `sentence` says why; if it is a cell, the cell shows it."""
        content = error_content(sentence)
        if message.msg_type != "execute_request":
            self.reply(message, content)
            return
        shown = {name: content[name] for name in ("ename", "evalue", "traceback")}
        self.reply(message, content | {"execution_count": 0}, shown=shown)

    def abort(self, message: Message) -> None:
        """Reply to a cell that is not run as one before it failed (jupyter_client's documentation, «aborted»)."""
        self.reply(message, {"status": "aborted"})

    def _publish(self, message: Message, msg_type: str, content: dict[str, Any]) -> None:
        self._send(message, "iopub", msg_type, content)

    def _send(self, message: Message, channel: str, msg_type: str, content: dict[str, Any]) -> None:
        parent = {"header": message.header}
        self._forward(channel, self._session.serialize(self._session.msg(msg_type, content, parent=parent)))
