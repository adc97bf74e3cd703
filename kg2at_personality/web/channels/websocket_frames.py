"""Messages on a websocket, several in one write: each write is a system call, and wakes the client."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tornado.escape import utf8
from tornado.iostream import IOStream
from tornado.websocket import WebSocketClosedError, WebSocketHandler

#: Bytes that are written at once; to collect more would cost copies and save nothing.
MAX_WRITE = 64 * 1024
#: RFC 6455, 5.2: the last frame of its message, and what the frame holds.
FINAL, TEXT, BINARY = 0x80, 0x1, 0x2


class WebsocketFrames:
    """Does what `handler.write_message` does, for many messages at a time."""

    def __init__(self, handler: WebSocketHandler) -> None:
        self._handler = handler
        self._is_plain = handler.get_compression_options() is None
        self._frames: list[bytes] | None = None
        self._size = 0

    @property
    def is_plain(self) -> bool:
        """Whether the frames are not compressed. Compressed ones are written by tornado, one by one."""
        return self._is_plain

    @property
    def stream(self) -> IOStream | None:
        """The stream of the websocket's connection; None when it is closed, or about to be."""
        websocket = self._handler.ws_connection
        return None if websocket is None or websocket.is_closing() else websocket.stream

    def send(self, message: str | bytes, binary: bool = False) -> Any:
        """Send a message, now or at the end of a `together` block. Raises WebSocketClosedError."""
        if self._frames is None:
            return self._handler.write_message(message, binary=binary)
        if self.stream is None:
            raise WebSocketClosedError
        data = utf8(message)
        self._frames += [_head(BINARY if binary else TEXT, len(data)), data]
        self._size += len(data)
        if self._size > MAX_WRITE:
            self._write()
        return None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Collect the messages that are sent in this block, and write them at its end in as few writes as possible."""
        if self._frames is not None or not self._is_plain:
            yield
            return
        self._frames = []
        try:
            yield
        finally:
            self._write()
            self._frames = None

    def _write(self) -> None:
        frames, self._frames, self._size = self._frames, [], 0
        if frames and (stream := self.stream) is not None:
            stream.write(b"".join(frames))


def _head(opcode: int, length: int) -> bytes:
    """Return the head of a frame that isn't masked: a server's frames are not."""
    if length < 126:
        return struct.pack("!BB", FINAL | opcode, length)
    if length < 2**16:
        return struct.pack("!BBH", FINAL | opcode, 126, length)
    return struct.pack("!BBQ", FINAL | opcode, 127, length)
