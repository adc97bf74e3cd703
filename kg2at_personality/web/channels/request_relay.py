"""What a notebook sends, on its way to the kernel: bounded, checked, and answered where the kernel can't be asked."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ...kernels.kernel import GatewayKernel
from ..protocol import client_message, request_rules
from ..protocol.client_message import MalformedMessage, Message
from ..protocol.gateway_replies import GatewayReplies
from ..toree_protocol.toree_requests import ToreeRequests


@dataclass(frozen=True)
class RequestLimits:
    """What a gateway takes from its notebooks."""

    #: Most bytes of a message; 0: any.
    max_size: int
    #: The types of messages that are let through (jupyter_server's `allowed_message_types`); none: all.
    allowed_types: Collection[str]


class RequestRelay:
    """Belongs to one open websocket. `send` takes a message to the kernel, `replies` answers in its place."""

    def __init__(
        self,
        kernel: GatewayKernel,
        is_v1: bool,
        limits: RequestLimits,
        send: Callable[[Message], None],
        replies: GatewayReplies,
    ) -> None:
        self._kernel, self._is_v1, self._limits = kernel, is_v1, limits
        self._send, self._replies = send, replies
        self._toree = ToreeRequests(kernel, send, replies) if kernel.is_toree else None

    def take(self, raw: str | bytes) -> None:
        """Send on a message from the notebook, or reply to it. A malformed one is logged and left out."""
        try:
            self._take(raw)
        except MalformedMessage as error:
            self._kernel.log.warning("Ignoring a malformed message to kernel %s: %s", self._kernel.kernel_id, error)

    def _take(self, raw: str | bytes) -> None:
        limit = self._limits.max_size
        if limit and len(raw) > limit:
            sentence = f"This message is larger than {limit} bytes, which the gateway takes (max_message_size)."
            self._replies.refuse(client_message.parse_header(raw, self._is_v1), sentence)
            return
        message = request_rules.completed(client_message.parse(raw, self._is_v1))
        problem = request_rules.problem(message)
        if self._limits.allowed_types and message.msg_type not in self._limits.allowed_types:
            self._kernel.log.warning("Ignoring a message of a type that is not allowed: %.60r", message.msg_type)
        elif problem is not None:
            self._replies.refuse(message, problem)
        elif self._toree is not None:
            self._toree.take(message)
        else:
            self._send(message)

    def hear(self, channel: str, message: list[Any]) -> None:
        """Called for each message from the kernel, which may let a cell go that waits."""
        if self._toree is not None:
            self._toree.hear(channel, message)

    def close(self) -> None:
        """Send what waits. Called when the websocket closes."""
        if self._toree is not None:
            self._toree.close()
