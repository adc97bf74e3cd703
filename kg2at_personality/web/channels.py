"""The websocket between a notebook and its kernel."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.websocket import WebSocketClosedError

from ..errors import ConnectionReplaced, KernelSilent
from ..kernels.kernel import GatewayKernel
from . import requests, ws_message
from .answers import Answers
from .restart_buffer import RestartBuffer
from .toree_messages import ToreeMessages
from .toree_requests import ToreeRequests
from .ws_message import MalformedMessage, Message

V1 = "v1.kernel.websocket.jupyter.org"


class ChannelsConnection(ZMQChannelsWebsocketConnection):
    """jupyter_server's connection, for kernels that take long to start and clients that don't wait for them.

    A client that drops its websocket while the kernel starts, and opens another with the same session id, would get
    no answers: both requests would go on to take a ZeroMQ socket of the same identity, and the kernel answers the
    first. Here only the newest goes on.
    """

    #: The kernel and the parts of an open websocket.
    _kernel: GatewayKernel
    _restarts: RestartBuffer | None = None
    #: Its protocol; `subprotocol` forgets it when the websocket closes, and what is kept back is sent then.
    _is_v1 = False
    _answers: Answers
    _requests: ToreeRequests | None = None
    _toree: ToreeMessages | None = None
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
        self._kernel = kernel = self.kernel_manager
        self._ports = list(kernel.ports)
        self._restarts = RestartBuffer(kernel, self._send_on, self._follow_ports)
        self._is_v1 = self.subprotocol == V1
        self._answers = Answers(self.session, self._tell)
        if kernel.is_toree:
            self._requests = ToreeRequests(kernel, self.session, self._send_to_kernel, self._answers)
        self._toree = ToreeMessages(kernel, self.session, self._forward) if kernel.is_toree else None
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

    # Messages.

    def handle_incoming_message(self, incoming_msg: str) -> None:
        """Called for each message from the notebook. A malformed one is ignored."""
        if self._restarts is None or not self._restarts.keeps(incoming_msg):
            self._send_on(incoming_msg)

    def _send_on(self, raw: Any) -> None:
        """Send a notebook's message to the kernel, or answer what the kernel can't be asked."""
        if not self.channels:
            return  # closed already
        try:
            self._take(raw)
        except MalformedMessage as error:
            self.log.warning("Ignoring a malformed message to kernel %s: %s", self.kernel_id, error)

    def _take(self, raw: str | bytes) -> None:
        limit = self.websocket_handler.settings["kg_max_message_size"]
        if limit and len(raw) > limit:
            sentence = f"This message is larger than {limit} bytes, which the gateway takes (max_message_size)."
            self._answers.refuse(ws_message.parse_header(raw, self._is_v1), sentence)
            return
        message = requests.completed(ws_message.parse(raw, self._is_v1))
        allowed = self.multi_kernel_manager.allowed_message_types
        problem = requests.problem(message)
        if allowed and message.msg_type not in allowed:
            self.log.warning("Ignoring a message of a type that is not allowed: %.60r", message.msg_type)
        elif problem is not None:
            self._answers.refuse(message, problem)
        elif self._requests is not None:
            self._requests.take(message)
        else:
            self._send_to_kernel(message)

    def _send_to_kernel(self, message: Message) -> None:
        stream = self.channels[message.channel]
        if not stream.closed():
            self.session.send_raw(stream, [*message.parts, *message.buffers])

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Called for each message from the kernel."""
        if self._restarts is not None and stream is self.channels.get("iopub"):
            self._restarts.hear()
        if self._requests is not None:
            heard = self._requests.hear(stream.channel, outgoing_msg)
            if heard is None:
                return
            outgoing_msg = heard
        if self._toree is not None:
            self._toree.take(stream, outgoing_msg)
        else:
            self._forward(stream, outgoing_msg)

    def _forward(self, stream: Any, message: list[Any]) -> None:
        """Send a kernel's message to the notebook."""
        super().handle_outgoing_message(stream, message)

    def _tell(self, channel: str, message: list[Any]) -> None:
        """Send what the gateway says itself, if anybody still listens."""
        with suppress(WebSocketClosedError):
            self._forward(channel, message)

    def disconnect(self) -> None:  # type: ignore[override]
        """Called when the websocket closes, or its request does before it is open; perhaps twice.

        What is held then waits for the next connection. Only what was connected counts as a connection less.
        """
        if self._restarts is None:
            self._forget_session()
            return
        held = self._toree.close() if self._toree is not None else None
        if self._requests is not None:
            self._requests.close()
        self._restarts.close()
        self._restarts = None
        super().disconnect()  # type: ignore[no-untyped-call]
        buffers = self.multi_kernel_manager._kernel_buffers
        if held is not None and self.kernel_id in buffers:
            buffers[self.kernel_id]["buffer"].append(held)
