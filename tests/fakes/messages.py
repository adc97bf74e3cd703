"""Messages: a notebook's, as both protocols of a websocket carry them, and a kernel's, as ZeroMQ does."""

from __future__ import annotations

import json
from typing import Any

from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import serialize_binary_message, serialize_msg_to_ws_v1

from kg2at_personality.kernels.output_buffer import Message

SESSION = Session(key=b"key")
PARTS = ("header", "parent_header", "metadata", "content")


def request(msg_type: str, content: dict[str, Any] | None = None, channel: str = "shell", **header: Any) -> Any:
    """Return a request as a notebook has it."""
    told = {"msg_id": "m1", "msg_type": msg_type, "session": "s1", "username": "", "version": "5.3"} | header
    parts = {"header": told, "parent_header": {}, "metadata": {}, "content": content or {}}
    return parts | {"channel": channel, "buffers": []}


def older(message: dict[str, Any]) -> str | bytes:
    """Return `message` in the older protocol."""
    return serialize_binary_message(message) if message["buffers"] else json.dumps(message)


def v1(message: dict[str, Any]) -> bytes:
    """Return `message` in the protocol v1.kernel.websocket.jupyter.org."""
    parts = [json.dumps(message[name]).encode() for name in PARTS]
    return bytes(serialize_msg_to_ws_v1([*parts, *message["buffers"]], message["channel"]))


def message(msg_type: str, text: str = "", channel: str = "iopub", parent: str = "cell") -> Message:
    """Return a kernel's message with `text`, and its channel."""
    made = SESSION.msg(msg_type, {"text": text}, parent={"msg_id": parent, "msg_type": "execute_request"})
    return channel, SESSION.serialize(made, ident=b"topic")


def text_of(message: Message) -> str:
    """Return the text of such a message."""
    return str(SESSION.unpack(message[1][-1])["text"])
