"""A notebook's websocket to a gateway in this process, and what the gateway knows of it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from tornado.websocket import WebSocketClientConnection, websocket_connect

from kg2at_personality.web.channels.notebook import V1
from kg2at_personality.web.channels.session_websockets import session_of
from tests.fakes.messages import PARTS, older, request, v1


class Notebook:
    """A websocket of either protocol, as JupyterLab uses it."""

    def __init__(self, socket: WebSocketClientConnection, session: str = "s1") -> None:
        self.socket, self.session = socket, session
        self.is_v1 = socket.selected_subprotocol == V1

    def send(self, msg_type: str, content: dict[str, Any], **more: Any) -> str:
        """Send a message; its id."""
        message = request(msg_type, content, msg_id=uuid.uuid4().hex, session=self.session, **more)
        self.socket.write_message(v1(message) if self.is_v1 else older(message), binary=self.is_v1)
        return str(message["header"]["msg_id"])

    def execute(self, code: str) -> str:
        """Send a cell; its message id."""
        return self.send("execute_request", {"code": code})

    async def receive(self) -> dict[str, Any]:
        """The next message."""
        raw = await asyncio.wait_for(self.socket.read_message(), 20)
        assert raw is not None, "the gateway closed the websocket"
        return self.parsed(raw)

    def parsed(self, raw: str | bytes) -> dict[str, Any]:
        """A message as the older protocol has it."""
        if not self.is_v1:
            return dict(json.loads(raw))
        message = dict(zip(PARTS, map(json.loads, deserialize_msg_from_ws_v1(raw)[1]), strict=False))
        return message | {"msg_type": message["header"]["msg_type"]}

    async def until(self, msg_type: str, msg_id: str) -> list[dict[str, Any]]:
        """The messages that answer `msg_id`, up to the first of `msg_type` (`idle` for that status)."""
        found: list[dict[str, Any]] = []
        while not found or msg_type not in (found[-1]["msg_type"], found[-1]["content"].get("execution_state")):
            message = await self.receive()
            if message["parent_header"].get("msg_id") == msg_id:
                found.append(message)
        return found

    async def until_closed(self) -> None:
        """Wait until the gateway closes the websocket."""
        while await asyncio.wait_for(self.socket.read_message(), 20) is not None:
            pass

    async def run(self, code: str) -> str:
        """What a cell prints; waits for its reply and its idle status."""
        return printed((await self.finish(self.execute(code)))[0])

    async def finish(self, *msg_ids: str) -> list[list[dict[str, Any]]]:
        """For each request the messages that answer it, when all have a reply and are idle."""
        found: dict[str, list[dict[str, Any]]] = {msg_id: [] for msg_id in msg_ids}
        while not all(has_ended(messages) for messages in found.values()):
            message = await self.receive()
            found.get(message["parent_header"].get("msg_id"), []).append(message)
        return list(found.values())


def has_ended(messages: list[dict[str, Any]]) -> bool:
    """Whether a request's reply and its idle status are among them."""
    states = [message["content"].get("execution_state") for message in messages]
    return "idle" in states and any(message["msg_type"].endswith("_reply") for message in messages)


def printed(messages: list[dict[str, Any]]) -> str:
    """What they print; a kernel may part it as it likes."""
    return "".join(message["content"].get("text", "") for message in messages)


def url(gateway: Any, kernel_id: str, session: str = "s1") -> str:
    return f"{gateway.base_url.replace('http', 'ws')}/api/kernels/{kernel_id}/channels?session_id={session}"


@asynccontextmanager
async def opened(gateway: Any, kernel_id: str, session: str = "s1", protocol: str = "") -> AsyncIterator[Notebook]:
    """An open websocket to a kernel; closed at the end of the block."""
    protocols = [protocol] if protocol else None
    socket = await websocket_connect(
        url(gateway, kernel_id, session), max_message_size=100_000_000, subprotocols=protocols
    )
    try:
        yield Notebook(socket, session)
    finally:
        socket.close()


def opened_by(kernel_id: str, session: str = "s1") -> list[Any]:
    """The open connections of a session, in the gateway."""
    return session_of(f"{kernel_id}:{session}").all


def relay_of(kernel_id: str, session: str = "s1") -> Any:
    """The relay of a session's only open connection, in the gateway."""
    [connection] = opened_by(kernel_id, session)
    return connection.relay


def connections(gateway: Any, kernel_id: str) -> int:
    """How many connections the gateway counts for a kernel."""
    return int(gateway.app.kernel_manager.kernel_model(kernel_id)["connections"])


def configure(gateway: Any, **traits: float) -> None:
    """Set traits of the connections that are opened from now on."""
    gateway.app.kernel_manager.config.ChannelsConnection.update(traits)
