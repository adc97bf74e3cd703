"""A notebook's messages, as both protocols of a websocket carry them."""

from __future__ import annotations

import json
from typing import Any

from jupyter_server.services.kernels.connection.base import serialize_binary_message, serialize_msg_to_ws_v1

PARTS = ("header", "parent_header", "metadata", "content")


def request(msg_type: str, content: dict[str, Any] | None = None, channel: str = "shell", **header: Any) -> Any:
    """A message as a notebook has it."""
    told = {"msg_id": "m1", "msg_type": msg_type, "session": "s1", "username": "", "version": "5.3"} | header
    parts = {"header": told, "parent_header": {}, "metadata": {}, "content": content or {}}
    return parts | {"channel": channel, "buffers": []}


def older(message: dict[str, Any]) -> str | bytes:
    """`message` in the older protocol."""
    return serialize_binary_message(message) if message["buffers"] else json.dumps(message)


def v1(message: dict[str, Any]) -> bytes:
    """`message` in the protocol v1.kernel.websocket.jupyter.org."""
    parts = [json.dumps(message[name]).encode() for name in PARTS]
    return bytes(serialize_msg_to_ws_v1([*parts, *message["buffers"]], message["channel"]))
