"""What a notebook sends on its websocket, parsed within bounds.

There are two protocols: `v1.kernel.websocket.jupyter.org`, and an older one of JSON, or of binary messages when there
are buffers (Jupyter Server's documentation, «WebSocket protocols»). In both a message says how many parts follow, and
where. That is checked before anything is allocated for it.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

#: The channels on which a client sends.
CHANNELS = ("shell", "control", "stdin")
#: The parts of a message as ZeroMQ carries them, before its buffers (jupyter_client.session.Session.serialize).
PARTS = ("header", "parent_header", "metadata", "content")
#: Most buffers of a message; each becomes a frame of a ZeroMQ message.
MAX_BUFFERS = 4096
#: Most bytes of a header.
MAX_HEADER = 64 * 1024
#: Most arrays and objects, and most values, of one part: parsed, they take many times the memory of their text.
MAX_CONTAINERS, MAX_VALUES = 200_000, 500_000

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


class MalformedMessage(ValueError):
    """A message breaks Jupyter's protocol. `str(error)` is one line."""


@dataclass
class Message:
    """A message: its channel, its parts in JSON in the order of PARTS, and its buffers."""

    channel: str
    parts: list[bytes]
    buffers: list[bytes]

    @cached_property
    def header(self) -> dict[str, Any]:
        """Its header, which has the strings `msg_id` and `msg_type`. Raises MalformedMessage."""
        return _header(self.parts[0])

    @cached_property
    def content(self) -> dict[str, Any]:
        """Its content. Raises MalformedMessage."""
        return _object(self.parts[3], "content")

    @property
    def msg_type(self) -> str:
        """Its type, as `execute_request`."""
        return str(self.header["msg_type"])

    @property
    def msg_id(self) -> str:
        """Its id, which stands in the parent header of each answer."""
        return str(self.header["msg_id"])

    def part(self, name: str) -> dict[str, Any]:
        """Return one of its PARTS. Raises MalformedMessage."""
        return _object(self.parts[PARTS.index(name)], name)

    def changed(self, **parts: dict[str, Any]) -> Message:
        """Return the message with other PARTS. Raises MalformedMessage."""
        changed = [
            _packed(parts[name]) if name in parts else part for name, part in zip(PARTS, self.parts, strict=True)
        ]
        return Message(self.channel, changed, self.buffers)

    def in_ascii(self) -> Message:
        """Return the message with all characters beyond ASCII escaped, without buffers. Raises MalformedMessage."""
        return Message(self.channel, [_packed(self.part(name)) for name in PARTS], [])


def parse(raw: str | bytes, is_v1: bool) -> Message:
    """Return the message that a websocket has received. Raises MalformedMessage, and no other error."""
    message = _parse_v1(raw) if is_v1 else _parse_older(raw) if isinstance(raw, str) else _parse_older_binary(raw)
    if message.channel not in CHANNELS:
        raise MalformedMessage(f"no channel of a client's: {message.channel[:40]!r}")
    message.header  # noqa: B018 (raises now if it is malformed)
    return message


def parse_header(raw: str | bytes, is_v1: bool) -> Message:
    """Return a message with its channel and header alone, whatever its size. Raises MalformedMessage."""
    if is_v1:
        message = _parse_v1(raw)
        return Message(message.channel, [message.parts[0], b"{}", b"{}", b"{}"], [])
    text = raw if isinstance(raw, str) else _decoded(raw, "message")
    header = re.search(r'"header"\s*:\s*(?=\{)', text)
    channel = re.search(r'"channel"\s*:\s*"(shell|control|stdin)"', text)
    try:
        value, _ = json.JSONDecoder().raw_decode(text[header.end() :][:MAX_HEADER] if header else "")
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("no header") from error
    return Message(channel[1] if channel else "shell", [_packed(value), *[b"{}"] * 3], [])


def _parse_v1(raw: str | bytes) -> Message:
    """Parse offsets of 8 bytes each, their count first; then the channel, the four parts, the buffers."""
    if isinstance(raw, str):
        raise MalformedMessage("text, where v1 has binary messages")
    count = _count(raw, 8, "little")
    offsets = _offsets(raw, struct.unpack_from(f"<{count}Q", raw, 8), 8 * (1 + count))
    if count < 2 + len(PARTS):
        raise MalformedMessage(f"{count} offsets are too few")
    channel, *parts = [raw[start:end] for start, end in pairwise(offsets)]
    return Message(_decoded(channel, "channel"), parts[: len(PARTS)], parts[len(PARTS) :])


def _parse_older_binary(raw: bytes) -> Message:
    """Parse offsets of 4 bytes each, their count first; then the message in JSON, the buffers."""
    count = _count(raw, 4, "big")
    offsets = [*_offsets(raw, struct.unpack_from(f"!{count}I", raw, 4), 4 * (1 + count)), len(raw)]
    if count < 1:
        raise MalformedMessage("no offset")
    text, *buffers = [raw[start:end] for start, end in pairwise(offsets)]
    message = _parse_older(_decoded(text, "message"))
    message.buffers = buffers
    return message


def _count(raw: bytes, size: int, order: Literal["little", "big"]) -> int:
    """Return how many offsets of `size` bytes follow. Raises MalformedMessage when there is no room for them."""
    count = int.from_bytes(raw[:size], order)
    if len(raw) < size * (1 + count):
        raise MalformedMessage("shorter than its count of offsets says")
    if count > 2 + len(PARTS) + MAX_BUFFERS:
        raise MalformedMessage(f"more than {MAX_BUFFERS} buffers")
    return count


def _offsets(raw: bytes, offsets: tuple[int, ...], first: int) -> tuple[int, ...]:
    """Return `offsets`. Raises MalformedMessage unless they mark parts that follow each other after `first`.

    If parts could overlap, each could be as large as the whole message.
    """
    bounds = (first, *offsets, len(raw))
    if any(start > end for start, end in pairwise(bounds)):
        raise MalformedMessage("offsets that do not follow each other")
    return offsets


def _parse_older(text: str) -> Message:
    message = _object(text, "message")
    channel = message.get("channel") or "shell"
    if not isinstance(channel, str):
        raise MalformedMessage("no channel")
    parts = [message.get(name) or {} for name in PARTS]
    if not all(isinstance(part, dict) for part in parts):
        raise MalformedMessage("a part that is no object")
    parsed = Message(channel, [_packed(part) for part in parts], [])
    parsed.__dict__["content"] = parts[3]  # fills the cached property
    return parsed


def _header(part: bytes) -> dict[str, Any]:
    if len(part) > MAX_HEADER:
        raise MalformedMessage(f"a header of more than {MAX_HEADER} bytes")
    header = _object(part, "header")
    for name in ("msg_id", "msg_type"):
        if not isinstance(header.get(name), str) or not header[name].isprintable():
            raise MalformedMessage(f"no {name} in its header")
    return header


def _object(part: bytes | str, name: str) -> dict[str, Any]:
    """Return the JSON object of a part. Raises MalformedMessage."""
    text = part if isinstance(part, str) else _decoded(part, name)
    _check_size(text, name)
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError, MemoryError) as error:
        raise MalformedMessage(f"{name}: no JSON ({str(error)[:100]})") from error
    if not isinstance(value, dict):
        raise MalformedMessage(f"{name}: no object")
    return value


def _check_size(text: str, name: str) -> None:
    """Raise MalformedMessage for a text that would take too many times its own size when parsed."""
    if _containers(text) <= MAX_CONTAINERS and text.count(",") <= MAX_VALUES:
        return
    if text.count('"') - text.count('\\"') > 4 * MAX_VALUES:
        raise MalformedMessage(f"{name}: more than {MAX_VALUES} values")
    outside = _STRING.sub("", text)
    if _containers(outside) > MAX_CONTAINERS:
        raise MalformedMessage(f"{name}: more than {MAX_CONTAINERS} arrays and objects")
    if outside.count(",") > MAX_VALUES:
        raise MalformedMessage(f"{name}: more than {MAX_VALUES} values")


def _containers(text: str) -> int:
    return text.count("[") + text.count("{")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _decoded(part: bytes, name: str) -> str:
    try:
        return part.decode()
    except UnicodeDecodeError as error:
        raise MalformedMessage(f"{name}: no UTF-8") from error


def _packed(value: dict[str, Any]) -> bytes:
    try:
        return json.dumps(value).encode()
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"a part that can't be packed: {str(error)[:100]}") from error
