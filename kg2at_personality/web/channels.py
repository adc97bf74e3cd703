"""The websocket between a notebook and its kernel."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.ioloop import IOLoop

from ..errors import ConnectionReplaced, KernelSilent
from . import sql

V1 = "v1.kernel.websocket.jupyter.org"
#: Seconds by which a Toree cell's result may come after its idle status (seen: 1 ms, once in 75 cells).
IDLE_GRACE = 0.05


class ChannelsConnection(ZMQChannelsWebsocketConnection):
    """jupyter_server's connection, for kernels that take long to start and clients that don't wait for them.

    A client that drops its websocket while the kernel starts, and opens another with the same session id, would get
    no answers: both requests would go on to take a ZeroMQ socket of the same identity, and the kernel answers the
    first. Here only the newest goes on.
    """

    _connected = False

    async def prepare(self) -> None:
        """Called before the websocket is accepted: wait for the kernel's answer.

        Raises KernelDied, KernelSilent after `kernel_info_timeout` seconds, and ConnectionReplaced.
        """
        await self._register_session()  # type: ignore[no-untyped-call]
        try:
            await self._kernel_answered()
            self._refuse_if_replaced()
            self.session.key = self.kernel_manager.session.key
            await self.request_kernel_info()  # type: ignore[no-untyped-call]
            self._refuse_if_replaced()
        except BaseException:
            self._forget_session()
            raise

    async def _kernel_answered(self) -> None:
        try:
            await asyncio.wait_for(self.kernel_manager.answered(), self.kernel_info_timeout)
        except asyncio.TimeoutError as error:
            raise KernelSilent(
                f"The kernel has not answered for {self.kernel_info_timeout:g} s. "
                "It may still be starting: try again, or shut it down."
            ) from error

    def _refuse_if_replaced(self) -> None:
        newest = self._open_sessions.get(self.session_key)
        connection: Any = self.websocket_handler.request.connection
        if connection.stream.closed() or newest is not self.websocket_handler:
            raise ConnectionReplaced("A newer connection of the same session took this one's place.")

    def _forget_session(self) -> None:
        if self._open_sessions.get(self.session_key) is self.websocket_handler:
            del self._open_sessions[self.session_key]

    def connect(self) -> Any:
        """Called when the websocket is open."""
        self._connected = True
        return super().connect()

    def create_stream(self) -> None:
        """Called when the websocket is open: take the sockets, under an identity that no other connection has.

        jupyter_server uses the session id, so that a connection whose predecessor is not quite closed yet gets no
        answers (a ROUTER ignores a second peer of the same identity: zmq_setsockopt, ZMQ_ROUTER_HANDOVER).
        """
        identity = uuid.uuid4().hex.encode()
        for channel in ("iopub", "shell", "control", "stdin"):
            connect = getattr(self.kernel_manager, f"connect_{channel}")
            self.channels[channel] = stream = connect(identity=identity)
            stream.channel = channel

    def handle_incoming_message(self, incoming_msg: str) -> None:
        """Called for each message from the notebook. A malformed one is ignored."""
        try:
            if self.subprotocol == V1:
                check_v1(incoming_msg)
            if self.kernel_manager.is_sql:
                incoming_msg = sql.to_kernel(incoming_msg, self.subprotocol == V1)
            super().handle_incoming_message(incoming_msg)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            self.log.warning("Ignoring a malformed message to kernel %s: %r", self.kernel_id, error)

    # Toree sends a cell's result and its idle status by different actors (KernelMessageRelay, StatusDispatch), so that
    # the result can be last. A notebook is done with a cell when it is idle, and drops what comes later.

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Called for each message from the kernel: let a cell's idle status go only after what belongs before it."""
        if not self.kernel_manager.is_toree:
            super().handle_outgoing_message(stream, outgoing_msg)
            return
        parts: list[Any] = self.session.feed_identities(outgoing_msg)[1]
        if self.kernel_manager.is_sql:
            outgoing_msg = sql.from_kernel(self.session, parts)
        parent, content = bytes(parts[2]), bytes(parts[4])
        if self._held is not None and parent != self._held[0]:
            self._release()
        if b'"execute_request"' in parent and b'"execution_state":"idle"' in content.replace(b" ", b""):
            self._held = (parent, stream, outgoing_msg)
            self._release_handle = IOLoop.current().call_later(IDLE_GRACE, self._release)
        else:
            super().handle_outgoing_message(stream, outgoing_msg)

    _held: tuple[bytes, Any, list[Any]] | None = None
    _release_handle: Any = None

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is None:
            return
        _, stream, message = held
        IOLoop.current().remove_timeout(self._release_handle)
        if not stream.closed():
            super().handle_outgoing_message(stream, message)

    def disconnect(self) -> None:  # type: ignore[override]
        """Called when the websocket closes, or its request does before it is open; perhaps twice.

        What is held then waits for the next connection. Only what was connected counts as a connection less.
        """
        held, self._held = self._held, None
        if not self._connected:
            self._forget_session()
            return
        self._connected = False
        super().disconnect()  # type: ignore[no-untyped-call]
        buffers = self.multi_kernel_manager._kernel_buffers
        if held is not None and self.kernel_id in buffers:
            buffers[self.kernel_id]["buffer"].append((held[1].channel, held[2]))


def check_v1(message: Any) -> None:
    """Raise ValueError when the first number of a v1 message is none of its offsets' count.

    jupyter_server would loop over as many as it says, up to 2**64 (deserialize_msg_from_ws_v1).
    """
    if not isinstance(message, bytes) or len(message) < 8 * (1 + int.from_bytes(message[:8], "little")):
        raise ValueError("not as long as its count of offsets says")
