"""The websocket between a notebook and its kernel."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import zmq
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from ..errors import ConnectionReplaced, KernelSilent
from ..kernels.kernel import GatewayKernel
from ..kernels.output_buffer import OutputBuffer
from ..kernels.reading import more_from, turn
from . import sql
from .notebook import V1, Notebook
from .outgoing import Outgoing
from .restart_buffer import RestartBuffer
from .toree_messages import ToreeMessages

#: How many times max_buffered_output waits at most for a notebook that is connected and reads slowly.
CONNECTED = 10


class ChannelsConnection(ZMQChannelsWebsocketConnection):
    """jupyter_server's connection, for kernels that take long to start and clients that don't wait for them.

    A client that drops its websocket while the kernel starts, and opens another with the same session id, would get
    no answers: both requests would go on to take a ZeroMQ socket of the same identity, and the kernel answers the
    first. Here only the newest goes on.
    """

    #: The kernel and the parts of an open websocket.
    _kernel: GatewayKernel
    _restarts: RestartBuffer | None = None
    _toree: ToreeMessages | None = None
    _notebook: Notebook
    _outgoing: Outgoing
    _ports: Sequence[int] = ()

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
        # Else a message waits until the last one is acknowledged, which TCP delays by 40 ms.
        self.websocket_handler.set_nodelay(True)
        self._kernel = kernel = self.kernel_manager
        self._ports = list(kernel.ports)
        self._restarts = RestartBuffer(kernel, self._send_on, self._follow_ports)
        self._notebook = notebook = Notebook(self)
        if kernel.is_toree:
            self._toree = ToreeMessages(kernel, self.session, notebook.write, self._settle)
            notebook.mend = self._toree.take
        self._outgoing = Outgoing(notebook, self._waiting())
        connected = super().connect()
        if connected is not None:
            connected.add_done_callback(self._begin)
        return connected

    def _waiting(self) -> OutputBuffer:
        """What waits for this session since it went, which jupyter_server would send all at once."""
        limit = self.multi_kernel_manager.max_buffered_output
        buffers, waiting = self.multi_kernel_manager._kernel_buffers, OutputBuffer(limit)
        if self.kernel_id in buffers and buffers[self.kernel_id]["session_key"] == self.session_key:
            waiting, buffers[self.kernel_id]["buffer"] = buffers[self.kernel_id]["buffer"], waiting
        waiting.bound(CONNECTED * limit)
        return waiting

    def _begin(self, connected: Any) -> None:
        """Called when the sockets are connected, after jupyter_server has begun to listen to them."""
        if self._restarts is not None:
            self._listen()
            self._outgoing.open()

    def _listen(self) -> None:
        for stream in self.channels.values():
            stream.on_recv_stream(self._receive)

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

    def _follow_ports(self) -> None:
        """Take new sockets if the process has others than the last one had."""
        if self._ports == list(self._kernel.ports):
            return
        self._ports = list(self._kernel.ports)
        for stream in self.channels.values():
            stream.close()
        self.create_stream()
        self._listen()

    # Messages.

    def handle_incoming_message(self, incoming_msg: str) -> None:
        """Called for each message from the notebook. A malformed one is ignored."""
        if self._restarts is None or not self._restarts.keeps(incoming_msg):
            self._send_on(incoming_msg)

    def _send_on(self, message: Any) -> None:
        """Send a notebook's message to the kernel."""
        try:
            if self.subprotocol == V1:
                check_v1(message)
            if self.kernel_manager.is_sql:
                message = sql.to_kernel(message, self.subprotocol == V1)
            super().handle_incoming_message(message)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            self.log.warning("Ignoring a malformed message to kernel %s: %r", self.kernel_id, error)

    def _receive(self, stream: Any, message: list[Any]) -> None:
        """Called for a message from the kernel, when others may wait behind it."""
        with self._notebook.frames.together():
            self.handle_outgoing_message(stream, message)
            for more in more_from(stream):
                self.handle_outgoing_message(stream, more)

    @property
    def write_message(self) -> Any:
        """How jupyter_server sends messages of its own, which keep their place among the kernel's."""
        return self._notebook.frames.send

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Called for each message from the kernel."""
        if self._restarts is not None and stream is self.channels.get("iopub"):
            self._restarts.hear()
        self._outgoing.take(stream.channel, outgoing_msg)

    def _settle(self) -> bool:
        """Take what the kernel has published by now; whether all that has come is on its way."""
        iopub = self.channels.get("iopub")
        if iopub is not None and not iopub.closed():
            iopub.flush(zmq.POLLIN, limit=1)
        return not self._outgoing.waits and not turn.is_over()

    def disconnect(self) -> None:  # type: ignore[override]
        """Called when the websocket closes, or its request does before it is open; perhaps twice.

        What is held then waits for the next connection. Only what was connected counts as a connection less.
        """
        if self._restarts is None:
            self._forget_session()
            return
        waiting = self._outgoing.close()
        for held in reversed(self._toree.close() if self._toree is not None else []):
            waiting.put_back(held)
        self._restarts.close()
        self._restarts = None
        super().disconnect()  # type: ignore[no-untyped-call]
        buffers = self.multi_kernel_manager._kernel_buffers
        if self.kernel_id in buffers:
            waiting.bound(self.multi_kernel_manager.max_buffered_output)
            buffers[self.kernel_id]["buffer"] = waiting


def check_v1(message: Any) -> None:
    """Raise ValueError when the first number of a v1 message is none of its offsets' count.

    jupyter_server would loop over as many as it says, up to 2**64 (deserialize_msg_from_ws_v1).
    """
    if not isinstance(message, bytes) or len(message) < 8 * (1 + int.from_bytes(message[:8], "little")):
        raise ValueError("not as long as its count of offsets says")
