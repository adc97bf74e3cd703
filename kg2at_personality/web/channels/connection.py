"""The connection between a notebook's websocket and its kernel, as jupyter_server creates, opens and closes it."""

from __future__ import annotations

import asyncio
import concurrent.futures
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import chain
from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado import web
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler
from traitlets import Float

from ...errors import KernelSilent, KG2ATError
from ...kernels.kernel import GatewayKernel
from ...kernels.loop_turn import more_from
from ...kernels.manager import GatewayKernelManager
from ...kernels.output_buffer import OutputBuffer
from ...kernels.resource_limits import check_descriptors
from .. import library_internals
from ..handler import CLIENT_CLOSED_REQUEST
from . import zmq_streams
from .cell_notice import CellNotice
from .notebook import Notebook
from .relay import Relay
from .request_relay import RequestLimits
from .restart_buffer import CHECK_TIMEOUT
from .session_websockets import SILENCE, SessionWebsockets, session_of
from .zmq_streams import Streams

#: How many times max_buffered_output may wait for a notebook that is connected and reads slowly.
CONNECTED_FACTOR = 10
#: File descriptors of a websocket: four ZeroMQ sockets, one for requests, one for heartbeats, and their connections.
DESCRIPTORS = 12
#: A websocket's close code: "try again later" (RFC 6455, IANA's registry).
TRY_AGAIN_LATER = 1013


class ChannelsConnection(ZMQChannelsWebsocketConnection):
    """jupyter_server's connection, for kernels that take long to start and clients that don't wait for them.

    One is created for each request for a websocket, and has a `relay` while the websocket is open. Websockets of one
    session share their ZeroMQ sockets: a client may close its websocket while the kernel starts and open another with
    the same session id, and jupyter_server would give both a ZeroMQ identity of which the kernel answers the first.
    """

    session_silence = Float(
        SILENCE,
        config=True,
        help="Seconds after which a websocket is closed that has sent nothing since another one of its session did. "
        "Fewer close the websocket of a client that is slow, more leave one open whose client is gone.",
    )
    iopub_check_timeout = Float(
        CHECK_TIMEOUT,
        config=True,
        help="Seconds for which a notebook's messages wait until its websocket hears what the kernel publishes. Fewer "
        "may lose output after a restart, more delay the cells for a kernel that publishes nothing.",
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._kernel: GatewayKernel = self.kernel_manager
        self._manager: GatewayKernelManager = self.multi_kernel_manager
        # jupyter_server sets the session's id after this.
        self._session = SessionWebsockets()
        #: What passes on the messages while the websocket is open.
        self.relay: Relay | None = None
        #: ZeroMQ sockets that were taken before the websocket was accepted, and are not in use yet.
        self._reserved: Streams = {}

    # Before the websocket is accepted.

    async def prepare(self) -> None:
        """Wait for the kernel's answer, and take the sockets that connect to it. Called for each request.

        Raises KernelDied, KernelSilent after `kernel_info_timeout` seconds, NoRoom, and 499 for a client that is gone.
        """
        self.session_key = f"{self.kernel_id}:{self.session.session}"
        self._session = session_of(self.session_key, self.session_silence)
        await _answered(self._kernel, self.kernel_info_timeout)
        _check_connected(self.websocket_handler.request)
        self.session.key = self._kernel.session.key
        await self.request_kernel_info()  # type: ignore[no-untyped-call]
        _check_connected(self.websocket_handler.request)
        check_descriptors(DESCRIPTORS)
        self._reserved = zmq_streams.take(self._kernel)

    # Open and close.

    async def connect(self) -> None:  # type: ignore[override]
        """Open the connection. Called by the handler when the websocket is open.

        When that fails, nothing is left behind and no connection is counted. The client is told to try again later.
        """
        self.relay = self._make_relay()
        try:
            if super().connect() is not None:
                self._start(self.relay)
        except Exception as error:
            self._undo_connect()
            if not isinstance(error, (KG2ATError, web.HTTPError)):
                raise
            self.log.warning("A websocket to kernel %s is closed again: %s", self.kernel_id, error)
            self.websocket_handler.close(TRY_AGAIN_LATER)

    def _make_relay(self) -> Relay:
        handler, manager = self.websocket_handler, self._manager
        # Without it TCP delays a message until the one before it is acknowledged, by 40 ms.
        handler.set_nodelay(True)
        # Else jupyter_server sends all that waits in one turn of the loop.
        waiting = library_internals.exchange_buffer(manager, self.kernel_id, self.session_key, OutputBuffer(0))
        waiting.bound(CONNECTED_FACTOR * manager.max_buffered_output)
        notice = CellNotice(self._kernel, Notebook(self), handler.get_argument("session_id", ""))
        return Relay(self._kernel, notice, self, _limits(handler, manager), waiting, self.iopub_check_timeout)

    def _start(self, relay: Relay) -> None:
        self._session.join(self)
        self._close_reserved()
        self.listen()
        relay.open()

    def _undo_connect(self) -> None:
        """Do what jupyter_server's `disconnect` does, without a buffer that waits for the session's next websocket."""
        manager = self._manager
        manager.notify_disconnect(self.kernel_id)
        with suppress(web.HTTPError):  # the kernel is gone
            manager.remove_restart_callback(self.kernel_id, self.on_kernel_restarted)
            manager.remove_restart_callback(self.kernel_id, self.on_restart_failed, "dead")
        library_internals.forget_websocket(self)
        self._close_relay()
        self._leave_session()
        zmq_streams.close(self.channels)
        self.channels = {}
        self._close_reserved()

    def disconnect(self) -> None:  # type: ignore[override]
        """Close the connection. Called when the websocket closes, or its request ends before. Idempotent.

        What the notebook has not been sent waits for the session's next websocket.
        """
        self._close_reserved()
        waiting = self._close_relay()
        if waiting is None:
            return  # it was never open, so it is counted by nobody
        self._leave_session()
        super().disconnect()  # type: ignore[no-untyped-call]
        self.channels = {}
        waiting.bound(self._manager.max_buffered_output)
        library_internals.keep_buffer(self._manager, self.kernel_id, waiting)

    def _close_relay(self) -> OutputBuffer | None:
        """Return what the notebook has not been sent; None when there is no relay."""
        relay, self.relay = self.relay, None
        return None if relay is None else relay.close()

    def _leave_session(self) -> None:
        """Leave the ZeroMQ sockets to another websocket of the session, if one is open."""
        self._session.leave(self)
        other = self._session.other_than(self)
        if other is not None:
            self.channels = {}
            other.listen()

    @property
    def is_closing(self) -> bool:
        """Whether the websocket is being closed."""
        connection = self.websocket_handler.ws_connection
        return connection is None or bool(connection.is_closing())

    def end(self) -> None:
        """Close the websocket. Called when another one of its session has taken its place."""
        self.log.info("Closing a websocket of session %s that is silent, another one is not", self.session_key)
        self.websocket_handler.close()

    # ZeroMQ sockets.

    def nudge(self) -> Any:
        """Return a future that is done. Called by jupyter_server once the sockets are there.

        jupyter_server's own waits until the kernel answers; here RestartBuffer does, and messages wait meanwhile.
        """
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        done.set_result(None)
        return done

    def create_stream(self) -> None:
        """Set `channels`. Called by jupyter_server, unless the session has sockets that listened meanwhile."""
        other = self._session.other_than(self)
        if other is not None:
            self.channels = other.channels
        else:
            self.channels, self._reserved = self._reserved or zmq_streams.take(self._kernel), {}

    def listen(self) -> None:
        """Hand what arrives at the sockets to all websockets of the session."""
        for stream in self.channels.values():
            stream.on_recv_stream(self._receive)

    def follow_ports(self) -> None:
        """Take new sockets if the kernel has other ports than the ones of `channels`. Raises NoRoom."""
        # `channels` is one dictionary for all websockets of the session.
        if zmq_streams.renew(self.channels, self._kernel):
            self.listen()

    def _close_reserved(self) -> None:
        reserved, self._reserved = self._reserved, {}
        zmq_streams.close(reserved)

    # Messages.

    def handle_incoming_message(self, incoming_msg: str) -> None:
        """Called by the websocket's handler for each message from the notebook."""
        self._session.note_message(self)
        if self.relay is not None:
            self.relay.take(incoming_msg)

    def _receive(self, stream: Any, message: list[Any]) -> None:
        """Called for a message from the kernel, behind which others may wait."""
        self._session.hear(stream, chain([message], more_from(stream)))

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Called for each message from the kernel."""
        if self.relay is not None:
            self.relay.hear(stream.channel, outgoing_msg)

    def together(self) -> AbstractContextManager[None]:
        """Return a context in which messages to the notebook are collected for one write."""
        return nullcontext() if self.relay is None else self.relay.notebook.frames.together()

    def write_stderr(self, error_message: str, parent_header: dict[str, Any]) -> None:
        """Write into the output of a cell. Called by jupyter_server, and for what was left out of it."""
        if self.relay is not None:
            self.relay.notice.tell(parent_header, f"{error_message}\n")

    @property
    def write_message(self) -> Any:
        """The function by which jupyter_server sends messages of its own: they keep their place among the kernel's."""
        return super().write_message if self.relay is None else self.relay.notebook.frames.send


def _limits(handler: RequestHandler, manager: GatewayKernelManager) -> RequestLimits:
    largest = library_internals.gateway_setting(handler, "max_message_size")
    return RequestLimits(largest, manager.allowed_message_types)


async def _answered(kernel: GatewayKernel, limit: float) -> None:
    """Wait until the kernel has answered. Raises KernelDied, and KernelSilent after `limit` seconds."""
    try:
        await asyncio.wait_for(kernel.answered(), limit)
    except asyncio.TimeoutError as error:
        raise KernelSilent(
            f"The kernel has not answered for {limit:g} s. It may still be starting: try again, or shut it down."
        ) from error


def _check_connected(request: HTTPServerRequest) -> None:
    """Raise 499 when the client has closed the connection of its request."""
    if library_internals.is_disconnected(request):
        status, reason = CLIENT_CLOSED_REQUEST
        raise web.HTTPError(status, "The client hung up while it waited for its kernel", reason=reason)
