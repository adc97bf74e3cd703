"""The notebook at the other end of a websocket: writes messages to it as either websocket protocol has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from ...kernels.output_buffer import Omitted
from ..library_internals import hide_traceback, is_over_rate_limit, serialized
from ..protocol.json_protocol import json_frame
from .websocket_frames import WebsocketFrames

#: The newer of the two websocket protocols, by which jupyter_server's clients ask for it.
V1 = "v1.kernel.websocket.jupyter.org"
#: What a message raises that is none of Jupyter's.
MALFORMED = (ValueError, LookupError, TypeError)


class Notebook:
    """Belongs to one open websocket. Does what jupyter_server does for each message, parsing it only if need be."""

    def __init__(self, connection: ZMQChannelsWebsocketConnection) -> None:
        self._connection, self.frames = connection, WebsocketFrames(connection.websocket_handler)
        self.session: Session = connection.session
        #: Which protocol it speaks; jupyter_server's `subprotocol` is None again when the websocket closes.
        self.is_v1 = connection.subprotocol == V1

    @property
    def is_ready(self) -> bool:
        """Whether the system has taken all that was written."""
        stream = self.frames.stream
        return stream is not None and not stream.writing()

    def when_ready(self, call: Callable[[], None]) -> None:
        """Call that when the system has taken all that was written; never when the websocket is closed."""
        if (stream := self.frames.stream) is not None:
            with suppress(StreamClosedError):
                stream.write(b"").add_done_callback(lambda _: call())

    def refuses(self, channel: str, message: list[Any]) -> bool:
        """Return whether a message is left out: it exceeds jupyter_server's rate limits, or is malformed."""
        if channel != "iopub" or not self._connection.limit_rate:
            return False
        try:
            return is_over_rate_limit(self._connection, channel, self.session.feed_identities(message)[1][1:])
        except MALFORMED as error:
            self.log_malformed(error)
            return True

    def write(self, channel: str, message: list[Any]) -> None:
        """Write a ZeroMQ message to the websocket. A malformed one is logged and left out."""
        try:
            parts = self.session.feed_identities(message)[1]
            if self.is_v1:
                self._write_v1(channel, list(parts[1:]))
            else:
                self._write_json(channel, parts)
        except WebSocketClosedError:
            self._log_closed()
        except MALFORMED as error:
            self.log_malformed(error)

    def _write_v1(self, channel: str, parts: list[Any]) -> None:
        hide_traceback(self._connection, channel, parts)
        self.frames.send(serialize_msg_to_ws_v1(parts, channel), binary=True)

    def _write_json(self, channel: str, parts: Sequence[Any]) -> None:
        connection = self._connection
        frame: str | bytes | None = None
        if connection.multi_kernel_manager.allow_tracebacks:
            frame = json_frame(self.session, channel, parts)
        if frame is not None:
            self.frames.send(frame)
            return
        message = self.session.deserialize(list(parts))
        hide_traceback(connection, channel, list(parts[1:]), message)
        frame = serialized(connection, channel, message)
        self.frames.send(frame, binary=isinstance(frame, bytes))

    def log_malformed(self, error: Exception) -> None:
        """Log that a message of the kernel's is left out."""
        self._connection.log.warning("Ignoring a malformed message of kernel %s: %r", self._connection.kernel_id, error)

    def _log_closed(self) -> None:
        self._connection.log.debug("The notebook of kernel %s has gone", self._connection.kernel_id)

    def tell(self, omitted: Omitted) -> None:
        """Write into the output of a cell how much of it was left out."""
        text = (
            f"{omitted.messages} messages of output ({_size(omitted.size)}), the oldest, were left out here: nobody "
            "read them in time. An administrator can raise KG2ATPersonality.max_buffered_output."
        )
        try:
            self._connection.write_stderr(text, omitted.parent)
        except WebSocketClosedError:
            self._log_closed()


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"
