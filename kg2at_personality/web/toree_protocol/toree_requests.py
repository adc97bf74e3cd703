"""What a notebook asks of a Toree, changed to what Toree understands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_client.session import DELIM

from ...kernels.kernel import GatewayKernel
from ...kernels.message import BUFFERS
from ..protocol.client_message import Message
from ..protocol.gateway_replies import GatewayReplies
from . import cell_substitute, sql_cells
from .cell_queue import CellQueue
from .toree_request_rules import for_toree, reply_content


class ToreeRequests:
    """Belongs to one websocket. `send` takes a message to the kernel."""

    def __init__(self, kernel: GatewayKernel, send: Callable[[Message], None], replies: GatewayReplies) -> None:
        self._is_sql, self._send, self._replies = kernel.kind.is_sql, send, replies
        self._cells = CellQueue(kernel, send, replies.abort)

    def take(self, message: Message) -> None:
        """Send on a request that `request_rules` finds complete, or reply in Toree's place. Raises MalformedMessage."""
        content = reply_content(message)
        if content is not None:
            self._replies.reply(message, content)
            return
        message = for_toree(message)
        if message.msg_type == "execute_request":
            code = self._code(message.content["code"])
            self._cells.add(message.changed(content=message.content | {"code": code}))
        else:
            self._send(message)

    def _code(self, code: str) -> str:
        """Return what Toree runs for the cell `code`."""
        text = sql_cells.text_of(code, self._is_sql)
        if text is not None:
            return sql_cells.cell(code, text)
        return cell_substitute.blank(code) if cell_substitute.is_blank(code) else code

    def hear(self, channel: str, message: list[Any]) -> None:
        """Called for each message from the kernel: the reply to one cell lets the next one go."""
        parts = message[message.index(DELIM) + 1 :] if DELIM in message else []
        if len(parts) >= BUFFERS:
            self._cells.hear(channel, parts)

    def close(self) -> None:
        """Send what waits. Called when the websocket closes."""
        self._cells.close()
