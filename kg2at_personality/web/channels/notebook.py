"""The notebook at the other end of a websocket, as its kernel's messages go there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from hmac import compare_digest
from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_client.session import Session, utcnow
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from ...kernels.output_buffer import Omitted
from .websocket_frames import WebsocketFrames

V1 = "v1.kernel.websocket.jupyter.org"
#: A message's first number of parts: signature, header, parent's header, metadata, content. Buffers follow.
PARTS = 5
LEGACY = (
    b'{"header": %b, "msg_id": %b, "msg_type": %b, "parent_header": %b, "metadata": %b, "content": %b, '
    b'"buffers": [], "channel": "%b"}'
)


class Notebook:
    """Belongs to one connection. What jupyter_server does for each message, and as little more as can be."""

    def __init__(self, connection: ZMQChannelsWebsocketConnection) -> None:
        self._connection, self.frames = connection, WebsocketFrames(connection.websocket_handler)
        #: Takes each message on its way there, for kernels whose messages are mended.
        self.mend: Callable[[str, list[Any]], None] = self.write

    @property
    def is_ready(self) -> bool:
        """Whether it has taken all that was sent to it."""
        stream = self.frames.stream
        return stream is not None and not stream.writing()

    def when_ready(self, call: Callable[[], None]) -> None:
        """Call that when it has taken all; never when it is gone."""
        if (stream := self.frames.stream) is not None:
            with suppress(StreamClosedError):
                stream.write(b"").add_done_callback(lambda _: call())

    def refuses(self, channel: str, message: list[Any]) -> bool:
        """Whether jupyter_server's limits (iopub_msg_rate_limit, iopub_data_rate_limit) let a message go no further."""
        if channel != "iopub" or not self._connection.limit_rate:
            return False
        try:
            parts = self._connection.session.feed_identities(message)[1][1:]
            return bool(self._connection._limit_rate(channel, _unread(), parts))
        except (ValueError, LookupError, TypeError) as error:
            return self._ignore(error)

    def send(self, channel: str, message: list[Any]) -> None:
        """Send it a message, mended."""
        try:
            self.mend(channel, message)
        except (ValueError, LookupError, TypeError) as error:
            self._ignore(error)

    def write(self, channel: str, message: list[Any]) -> None:
        """Send it a message as it is."""
        try:
            parts = self._connection.session.feed_identities(message)[1]
            if self._connection.subprotocol == V1:
                self._write_v1(channel, list(parts[1:]))
            else:
                self._write_legacy(channel, parts)
        except WebSocketClosedError:
            self._connection.log.debug("The notebook of kernel %s has gone", self._connection.kernel_id)
        except (ValueError, LookupError, TypeError) as error:
            self._ignore(error)

    def _write_v1(self, channel: str, parts: list[Any]) -> None:
        self._connection._on_error(channel, _unread(), parts)
        self.frames.send(serialize_msg_to_ws_v1(parts, channel), binary=True)

    def _write_legacy(self, channel: str, parts: Sequence[Any]) -> None:
        connection = self._connection
        text = legacy(connection.session, channel, parts) if connection.multi_kernel_manager.allow_tracebacks else None
        if text is None:
            message = connection.session.deserialize(list(parts))
            connection._on_error(channel, message, parts[1:])
            text = connection._reserialize_reply(message, channel=channel)
            self.frames.send(text, binary=isinstance(text, bytes))
        else:
            self.frames.send(text)

    def _ignore(self, error: Exception) -> bool:
        self._connection.log.warning("Ignoring a malformed message of kernel %s: %r", self._connection.kernel_id, error)
        return True

    def tell(self, omitted: Omitted) -> None:
        """Tell it, in the output of the cell, what it does not get."""
        text = (
            f"{omitted.messages} messages of output ({_size(omitted.size)}), the oldest, were left out here: nobody "
            "read them in time. An administrator can raise KG2ATPersonality.max_buffered_output."
        )
        try:
            self._connection.write_stderr(text, omitted.parent)
        except WebSocketClosedError:
            self._connection.log.debug("The notebook of kernel %s has gone", self._connection.kernel_id)


def legacy(session: Session, channel: str, parts: Sequence[Any]) -> bytes | None:
    """The text that jupyter_server makes of a message in the older protocol, made of its parts unread.

    None for a message that it has to make itself, as it has buffers, a date without a time zone, or another version of
    the message specification. Raises ValueError for a wrong signature, ValueError or TypeError for a malformed message.
    """
    if len(parts) != PARTS:
        return None
    signature, header, parent, metadata, content = parts
    if session.auth is not None and not compare_digest(signature, session.sign(list(parts[1:]))):
        raise ValueError("its signature is wrong")
    read = json.loads(header)
    if not str(read.get("version")).startswith("5.") or not (_is_dated(read) and _is_dated(json.loads(parent))):
        return None
    if "date" not in read:  # a Toree's; jupyter_client.adapter adds one
        header = json.dumps(read | {"date": utcnow()}, default=json_default).encode()
    ids = (json.dumps(read[name]).encode() for name in ("msg_id", "msg_type"))
    text = LEGACY % (header, *ids, parent, metadata, content, channel.encode())
    return text if metadata[:1] == content[:1] == b"{" and _is_utf8(text) else None


def _is_dated(header: dict[str, Any]) -> bool:
    """Whether its date, if any, is in UTC, as jupyter_server writes it."""
    return str(header.get("date", "Z")).endswith("Z")


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _unread() -> dict[str, Any]:
    """A message whose parts jupyter_server reads when it needs them."""
    return {"header": None, "parent_header": None, "content": None}


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"
