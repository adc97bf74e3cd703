"""All that happens to the messages of one open websocket, on their way to the kernel and on their way back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import zmq

from ...errors import KernelDied
from ...kernels.kernel import GatewayKernel
from ...kernels.loop_turn import turn
from ...kernels.output_buffer import OutputBuffer
from ..protocol.client_message import Message
from ..protocol.gateway_replies import GatewayReplies
from ..protocol.request_rules import error_content
from ..toree_protocol.toree_messages import ToreeMessages
from .cell_notice import CellNotice
from .iopub_check import is_check_reply
from .notebook import MALFORMED
from .request_relay import RequestLimits, RequestRelay
from .restart_buffer import RestartBuffer
from .write_queue import WriteQueue


class KernelSockets(Protocol):
    """The ZeroMQ sockets of a websocket, which it may share with others of its session."""

    @property
    def channels(self) -> Mapping[str, Any]:
        """A ZMQStream for each channel; none once the websocket is closed."""

    def follow_ports(self) -> None:
        """Take new sockets if the kernel has other ports than those that the sockets connect to. Raises NoRoom."""


class Relay:
    """Belongs to one open websocket.

    `notice` stands before its notebook. `waiting` is what the kernel has sent before it opened; `check_timeout` is
    RestartBuffer's.
    """

    def __init__(
        self,
        kernel: GatewayKernel,
        notice: CellNotice,
        sockets: KernelSockets,
        limits: RequestLimits,
        waiting: OutputBuffer,
        check_timeout: float,
    ) -> None:
        self.notice = notice
        self.notebook = notebook = notice.notebook
        self._kernel, self._sockets = kernel, sockets
        self.toree_messages: ToreeMessages | None = None
        write = notice.write
        if kernel.is_toree:
            self.toree_messages = ToreeMessages(kernel, notebook.session, notice.write, self._flush_iopub)
            write = partial(self._write_for_toree, self.toree_messages)
        self.write_queue = WriteQueue(notebook, write, waiting)
        replies = GatewayReplies(kernel, notebook.session, self.write_queue.take)
        self._requests = RequestRelay(kernel, notebook.is_v1, limits, self._send, replies)
        self.restart_buffer = RestartBuffer(kernel, self._take, sockets.follow_ports, check_timeout)

    def open(self) -> None:
        """Begin to pass on messages. Called once, when the websocket has its sockets."""
        self.notice.open(self._is_behind)
        self.write_queue.open()
        self.restart_buffer.open()
        self._kernel.observe(self._on_reason, "reason")

    def close(self) -> OutputBuffer:
        """Send the kernel what was kept back, and return what the notebook has not been sent."""
        self._kernel.unobserve(self._on_reason, "reason")
        waiting = self.write_queue.close()
        for held in reversed(self.toree_messages.close() if self.toree_messages is not None else []):
            waiting.put_back(held)
        self._requests.close()
        self.restart_buffer.close()
        self.notice.close()
        return waiting

    # To the kernel.

    def take(self, raw: str | bytes) -> None:
        """Called for each message from the notebook. A malformed one is logged and left out."""
        if not self.restart_buffer.keeps(raw):
            self._take(raw)

    def _take(self, raw: str | bytes) -> None:
        if self._sockets.channels:
            self._requests.take(raw)

    def _send(self, message: Message) -> None:
        stream = self._sockets.channels[message.channel]
        if not stream.closed():
            self.notice.note_sent(message)
            self.notebook.session.send_raw(stream, [*message.parts, *message.buffers])

    # To the notebook.

    def hear(self, channel: str, message: list[Any]) -> None:
        """Called for each message from the kernel."""
        if channel == "iopub":
            self.restart_buffer.hear()
            if is_check_reply(self._kernel, message):
                return
        self.write_queue.take(channel, message)
        self._requests.hear(channel, message)

    def _on_reason(self, change: Any) -> None:
        """End the cell that runs, if its session has sent it, when it is known how the kernel died.

        The next message tells of the restart, after which a front end hears of its cells no more. So nothing waits, not
        even for those that a slow notebook has not read.
        """
        cell = self.notice.cells.unended(self._kernel.running_cell)
        if change["new"] and cell is not None:
            replies = GatewayReplies(self._kernel, self.notebook.session, self.notice.write)
            replies.end(cell.header, error_content(change["new"], KernelDied.__name__))

    def _is_behind(self) -> bool:
        """Return whether something that was heard has not been written yet."""
        return self.write_queue.waits or (self.toree_messages is not None and self.toree_messages.holds)

    def _write_for_toree(self, messages: ToreeMessages, channel: str, message: list[Any]) -> None:
        """Write a Toree's message as the notebook understands it. A malformed one is logged and left out."""
        try:
            messages.take(channel, message)
        except MALFORMED as error:
            self.notebook.log_malformed(error)

    def _flush_iopub(self) -> bool:
        """Take what the kernel has published by now; return whether all of that has been given to `toree_messages`."""
        iopub = self._sockets.channels.get("iopub")
        if iopub is not None and not iopub.closed():
            iopub.flush(zmq.POLLIN, limit=1)
        return not self.write_queue.waits and not turn.is_over()
