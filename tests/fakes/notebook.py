"""A notebook's websocket to a gateway in the test's own process."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

from kg2at_personality.web.channels.session_websockets import session_of


def url(gateway: Any, kernel_id: str, session: str) -> str:
    return f"{gateway.base_url.replace('http', 'ws')}/api/kernels/{kernel_id}/channels?session_id={session}"


class Notebook:
    """A websocket, as JupyterLab uses it."""

    def __init__(self, socket: WebSocketClientConnection, session: str) -> None:
        self.socket, self.session = socket, session

    def execute(self, code: str) -> str:
        """Send a cell and return its message id."""
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": self.session, "username": ""}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": {"code": code}, "channel": "shell"}
        self.socket.write_message(json.dumps(message))
        return header["msg_id"]

    async def receive(self) -> dict[str, Any]:
        """Return the next message; fails after 20 s."""
        message = await asyncio.wait_for(self.socket.read_message(), 20)
        assert message is not None, "the gateway closed the websocket"
        return dict(json.loads(message))

    async def until(self, msg_type: str, msg_id: str) -> list[dict[str, Any]]:
        """Return the messages that answer `msg_id`, up to the first of `msg_type` (`idle` for that status)."""
        found: list[dict[str, Any]] = []
        while not found or msg_type not in (found[-1]["msg_type"], found[-1]["content"].get("execution_state")):
            message = await self.receive()
            if message["parent_header"].get("msg_id") == msg_id:
                found.append(message)
        return found

    async def run(self, code: str) -> str:
        """Run a cell and return what it prints; waits for its reply and its idle status."""
        msg_id = self.execute(code)
        found = await self.until("idle", msg_id)
        if not any(message["msg_type"] == "execute_reply" for message in found):
            await self.until("execute_reply", msg_id)
        return printed(found)


def has_ended(messages: list[dict[str, Any]]) -> bool:
    """Return whether a cell's reply and its idle status are among them."""
    states = [message["content"].get("execution_state") for message in messages]
    return "idle" in states and any(message["msg_type"] == "execute_reply" for message in messages)


def printed(messages: list[dict[str, Any]]) -> str:
    """Return what they print; a kernel may send it in any number of parts."""
    return "".join(message["content"].get("text", "") for message in messages)


@asynccontextmanager
async def opened(gateway: Any, kernel_id: str, session: str = "s1") -> AsyncIterator[Notebook]:
    socket = await websocket_connect(url(gateway, kernel_id, session))
    try:
        yield Notebook(socket, session)
    finally:
        socket.close()


def opened_by(kernel_id: str, session: str = "s1") -> list[Any]:
    """Return the gateway's open connections of a session."""
    return session_of(f"{kernel_id}:{session}").all


def connections(gateway: Any, kernel_id: str) -> int:
    return int(gateway.app.kernel_manager.kernel_model(kernel_id)["connections"])
