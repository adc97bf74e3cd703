"""The websocket between a notebook and its kernel."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.ioloop import IOLoop

from ..errors import ConnectionReplaced, KernelDied, KernelSilent
from . import sql

V1 = "v1.kernel.websocket.jupyter.org"
#: Seconds that a notebook's messages are kept back, at most, when a restarted kernel has answered but isn't heard.
UNHEARD = 10.0
#: Seconds between two questions to be heard; ZeroMQ tries to connect again each 0.1 s (ZMQ_RECONNECT_IVL).
ASK_AGAIN = 0.2
#: Seconds by which a Toree cell's result may come after its idle status (seen: 1 ms, once in 75 cells).
IDLE_GRACE = 0.05


class ChannelsConnection(ZMQChannelsWebsocketConnection):
    """jupyter_server's connection, for kernels that take long to start and clients that don't wait for them.

    A client that drops its websocket while the kernel starts, and opens another with the same session id, would get
    no answers: both requests would go on to take a ZeroMQ socket of the same identity, and the kernel answers the
    first. Here only the newest goes on.
    """

    _connected = False
    _kernel: Any = None

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
        self._connected, self._kernel = True, self.kernel_manager
        self._ports = list(self._kernel.ports)
        self._kernel.observe(self._on_state, "execution_state")
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

    # A kernel that restarts. The sockets find its new process one by one, each in its own time, and what it publishes
    # before the last of them has is lost: a notebook would wait for its cell's end for ever.

    _ports: Sequence[int] = ()
    _kept: list[Any] | None = None
    _reunion: asyncio.Task[None] | None = None
    _heard: asyncio.Future[None] | None = None

    def _on_state(self, change: Any) -> None:
        """Called when the kernel's state changes: keep what the notebook sends back until a new process is heard."""
        if change["new"] == "starting":
            self._end_reunion()
            self._kept = self._kept or []
            self._reunion = asyncio.ensure_future(self._meet_again())

    def _end_reunion(self) -> None:
        if self._reunion is not None:
            self._reunion.cancel()

    async def _meet_again(self) -> None:
        try:
            await self._kernel.answered()
            self._follow_ports()
            await asyncio.wait_for(self._be_heard(), UNHEARD)
        except KernelDied:
            self._kept = []  # the notebook is told, and it was for no other process
        except asyncio.TimeoutError:
            self.log.warning("Kernel %s answers, but nothing is heard of it for %g s", self.kernel_id, UNHEARD)
        self._send_kept()

    def _send_kept(self) -> None:
        kept, self._kept, self._heard = self._kept or (), None, None
        for message in kept:
            self.handle_incoming_message(message)

    def _follow_ports(self) -> None:
        """Take new sockets if the process has others than the last one had."""
        if self._ports == list(self._kernel.ports):
            return
        self._ports = list(self._kernel.ports)
        for stream in self.channels.values():
            stream.close()
        self.create_stream()
        for stream in self.channels.values():
            stream.on_recv_stream(self.handle_outgoing_message)

    async def _be_heard(self) -> None:
        """Ask the kernel for what makes it publish its status, until that arrives."""
        self._heard = heard = asyncio.get_running_loop().create_future()
        while not heard.done():
            with self._kernel.question("kernel_info_request") as reply:
                await asyncio.wait([reply, heard], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([heard], timeout=ASK_AGAIN)

    def handle_incoming_message(self, incoming_msg: str) -> None:
        """Called for each message from the notebook. A malformed one is ignored."""
        if self._kept is not None:
            self._kept.append(incoming_msg)
            return
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
        if self._heard is not None and not self._heard.done() and stream is self.channels.get("iopub"):
            self._heard.set_result(None)
        kernel = self.kernel_manager
        if not kernel.is_toree:
            super().handle_outgoing_message(stream, outgoing_msg)
            return
        parts: list[Any] = self.session.feed_identities(outgoing_msg)[1]
        parent, content = bytes(parts[2]), bytes(parts[4])
        is_cell = b'"execute_request"' in parent
        if is_cell and kernel.session.session.encode() in parent:
            return  # the gateway's own
        if kernel.is_sql:
            outgoing_msg = sql.from_kernel(self.session, parts)
        if self._held is not None and parent != self._held[0]:
            self._release()
        if is_cell and b'"execution_state":"idle"' in content.replace(b" ", b""):
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
        self._kernel.unobserve(self._on_state, "execution_state")
        self._end_reunion()
        self._send_kept()
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
