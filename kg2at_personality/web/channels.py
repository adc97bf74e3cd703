"""The websocket between a notebook and its kernel."""

from __future__ import annotations

import asyncio
import concurrent.futures
from contextlib import AbstractContextManager, suppress
from itertools import chain
from typing import Any

import zmq
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado import web

from ..errors import KernelSilent, KG2ATError
from ..kernels.kernel import GatewayKernel
from ..kernels.loop_turn import more_from, turn
from ..kernels.output_buffer import OutputBuffer
from ..kernels.resource_limits import check_descriptors
from . import kernel_sockets, requests, ws_message
from .answers import Answers
from .handler import HUNG_UP
from .hearing import is_for_us
from .notebook import V1, Notebook
from .outgoing import Outgoing
from .restart_buffer import RestartBuffer
from .session_connections import SessionConnections, session_of
from .toree_messages import ToreeMessages
from .toree_requests import ToreeRequests
from .ws_message import MalformedMessage, Message

#: How many times max_buffered_output waits at most for a notebook that is connected and reads slowly.
CONNECTED = 10
#: Descriptors that a websocket takes: four ZeroMQ sockets, one that asks, one for heartbeats, with their connections.
WEBSOCKET = 12
#: A websocket's close code: "try again later" (RFC 6455, IANA's registry).
TRY_AGAIN = 1013


class ChannelsConnection(ZMQChannelsWebsocketConnection):
    """jupyter_server's connection, for kernels that take long to start and clients that don't wait for them.

    A client that drops its websocket while the kernel starts, and opens another with the same session id, would get
    no answers: both requests would go on to take a ZeroMQ socket of the same identity, and the kernel answers the
    first. Here those of one session share their sockets.
    """

    #: The kernel and the parts of an open websocket.
    _kernel: GatewayKernel
    _restarts: RestartBuffer | None = None
    #: Its protocol; `subprotocol` forgets it when the websocket closes, and what is kept back is sent then.
    _is_v1 = False
    _answers: Answers
    _requests: ToreeRequests | None = None
    _toree: ToreeMessages | None = None
    _notebook: Notebook
    _outgoing: Outgoing
    _session: SessionConnections
    #: ZeroMQ sockets that were taken before the websocket was accepted, and are not in use yet.
    _taken: dict[str, Any] | None = None

    async def prepare(self) -> None:
        """Called before the websocket is accepted: wait for the kernel's answer, and take what connects to it.

        Raises KernelDied, KernelSilent after `kernel_info_timeout` seconds, NoRoom, and 499 for a client that is gone.
        """
        self.session_key = f"{self.kernel_id}:{self.session.session}"
        self._session = session_of(self.session_key)
        await self._kernel_answered()
        self._refuse_if_gone()
        self.session.key = self.kernel_manager.session.key
        await self.request_kernel_info()  # type: ignore[no-untyped-call]
        self._refuse_if_gone()
        check_descriptors(WEBSOCKET)
        self._taken = kernel_sockets.take(self.kernel_manager)

    async def _kernel_answered(self) -> None:
        try:
            await asyncio.wait_for(self.kernel_manager.answered(), self.kernel_info_timeout)
        except asyncio.TimeoutError as error:
            raise KernelSilent(
                f"The kernel has not answered for {self.kernel_info_timeout:g} s. "
                "It may still be starting: try again, or shut it down."
            ) from error

    def _refuse_if_gone(self) -> None:
        connection: Any = self.websocket_handler.request.connection
        if connection.stream.closed():
            raise web.HTTPError(HUNG_UP[0], "The client hung up while it waited for its kernel", reason=HUNG_UP[1])

    def connect(self) -> Any:
        """Called when the websocket is open. What fails here leaves nothing behind, and counts as no connection."""
        connected = asyncio.get_running_loop().create_future()
        connected.set_result(None)
        self._make_parts()
        try:
            super().connect()
            self._session.join(self)
            self._begin()
        except Exception as error:
            self._undo_connect()
            if not isinstance(error, (KG2ATError, web.HTTPError)):
                raise
            self.log.warning("A websocket to kernel %s is closed again: %s", self.kernel_id, error)
            self.websocket_handler.close(TRY_AGAIN)
        return connected

    def _make_parts(self) -> None:
        # Else a message waits until the last one is acknowledged, which TCP delays by 40 ms.
        self.websocket_handler.set_nodelay(True)
        self._kernel = kernel = self.kernel_manager
        self._restarts = RestartBuffer(kernel, self._send_on, self._follow_ports)
        self._notebook = notebook = Notebook(self)
        self._is_v1 = self.subprotocol == V1
        if kernel.is_toree:
            self._toree = ToreeMessages(kernel, self.session, notebook.write, self._settle)
            notebook.mend = self._toree.take
        self._outgoing = Outgoing(notebook, self._waiting())
        self._answers = Answers(self.session, self._outgoing.take)
        if kernel.is_toree:
            self._requests = ToreeRequests(kernel, self._send_to_kernel, self._answers)

    def _begin(self) -> None:
        """Called when jupyter_server has connected, and the parts are made."""
        self._return_sockets()
        self._listen()
        self._outgoing.open()
        if self._restarts is not None:
            self._restarts.open()

    def _undo_connect(self) -> None:
        """What jupyter_server's disconnect does, which would have a websocket that never opened wait for another."""
        manager = self.multi_kernel_manager
        manager.notify_disconnect(self.kernel_id)
        with suppress(web.HTTPError):  # no such kernel any more
            manager.remove_restart_callback(self.kernel_id, self.on_kernel_restarted)
            manager.remove_restart_callback(self.kernel_id, self.on_restart_failed, "dead")
        self._open_sockets.discard(self)
        self._end_parts()
        self._leave_session()
        kernel_sockets.close(self.channels)
        self.channels = {}
        self._return_sockets()

    def _end_parts(self) -> OutputBuffer:
        """End them; what the notebook has not been sent yet."""
        waiting = self._outgoing.close()
        for held in reversed(self._toree.close() if self._toree is not None else []):
            waiting.put_back(held)
        if self._requests is not None:
            self._requests.close()
        if self._restarts is not None:
            self._restarts.close()
        self._restarts = None
        return waiting

    def _waiting(self) -> OutputBuffer:
        """What waits for this session since it went, which jupyter_server would send all at once."""
        limit = self.multi_kernel_manager.max_buffered_output
        buffers, waiting = self.multi_kernel_manager._kernel_buffers, OutputBuffer(limit)
        if self.kernel_id in buffers and buffers[self.kernel_id]["session_key"] == self.session_key:
            waiting, buffers[self.kernel_id]["buffer"] = buffers[self.kernel_id]["buffer"], waiting
        waiting.bound(CONNECTED * limit)
        return waiting

    def nudge(self) -> Any:
        """Called when the sockets are there: jupyter_server goes on at once. RestartBuffer waits until they work."""
        at_once: concurrent.futures.Future[None] = concurrent.futures.Future()
        at_once.set_result(None)
        return at_once

    def _listen(self) -> None:
        for stream in self.channels.values():
            stream.on_recv_stream(self._receive)

    def create_stream(self) -> None:
        """Called when the websocket is open, unless there are sockets that listened while no notebook was connected."""
        beside = self._session.beside(self)
        if beside is not None:
            self.channels = beside.channels
        else:
            self.channels, self._taken = self._taken or kernel_sockets.take(self.kernel_manager), None

    def _return_sockets(self) -> None:
        """Close those that were taken before the websocket was accepted, if others are in use."""
        kernel_sockets.close(self._taken or {})
        self._taken = None

    def _follow_ports(self) -> None:
        """Take new sockets if the process has others than the last one had."""
        # They are the same for all websockets of the session.
        if kernel_sockets.renew(self.channels, self._kernel):
            self._listen()

    # Messages.

    def handle_incoming_message(self, incoming_msg: str) -> None:
        """Called for each message from the notebook. A malformed one is ignored."""
        self._session.spoke(self)
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

    def _receive(self, stream: Any, message: list[Any]) -> None:
        """Called for a message from the kernel, when others may wait behind it."""
        self._session.hear(stream, chain([message], more_from(stream)))

    def together(self) -> AbstractContextManager[None]:
        """While it lasts, what goes to the notebook is kept for one write."""
        return self._notebook.frames.together()

    @property
    def write_message(self) -> Any:
        """How jupyter_server sends messages of its own, which keep their place among the kernel's."""
        return self._notebook.frames.send

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Called for each message from the kernel."""
        if self._restarts is not None and stream is self.channels.get("iopub"):
            self._restarts.hear()
            if is_for_us(self._kernel, outgoing_msg):
                return
        self._outgoing.take(stream.channel, outgoing_msg)
        if self._requests is not None:
            self._requests.hear(stream.channel, outgoing_msg)

    @property
    def is_closing(self) -> bool:
        """Whether its end is under way."""
        connection = self.websocket_handler.ws_connection
        return connection is None or bool(connection.is_closing())

    def end(self) -> None:
        """Close it, since another of its session has taken its place."""
        self.log.info("Closing a websocket of session %s that is silent, another one is not", self.session_key)
        self.websocket_handler.close()

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
        self._return_sockets()
        if self._restarts is None:
            return
        waiting = self._end_parts()
        self._leave_session()
        super().disconnect()  # type: ignore[no-untyped-call]
        self.channels = {}
        buffers = self.multi_kernel_manager._kernel_buffers
        if self.kernel_id in buffers:
            waiting.bound(self.multi_kernel_manager.max_buffered_output)
            buffers[self.kernel_id]["buffer"] = waiting

    def _leave_session(self) -> None:
        """Leave the sockets to another websocket of the session, if there is one."""
        self._session.leave(self)
        beside = self._session.beside(self)
        if beside is not None:
            self.channels = {}
            beside._listen()
