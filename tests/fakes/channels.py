"""A notebook's websocket to a gateway in another process."""

from __future__ import annotations

import contextlib
import json
import queue
import socket as sockets
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websocket

from tests.fakes.wait import wait_until

#: Seconds within which an answer has to come.
ANSWER_LIMIT = 120.0
#: Stands in a cell where it is to tell that it has come there; what is put there makes the file PATH.
HERE = "HERE"
SCALA, PYTHON = 'new java.io.File("PATH").createNewFile()', "open('PATH', 'w').close()"


@dataclass
class Result:
    """The reply to one cell, and the messages that came of it."""

    reply: dict[str, Any]
    messages: list[dict[str, Any]]

    @property
    def text(self) -> str:
        """The text of all that the cell showed: streams, results, displays, errors."""
        parts = []
        was_stream = False
        for message in self.messages:
            content, is_stream = message["content"], message["msg_type"] == "stream"
            # A front end joins what a stream shows: a Toree writes whatever is there every 0.1 s, half a word too.
            before = parts.pop() if is_stream and was_stream else ""
            parts.append(before + (content.get("text", "") or content.get("evalue", "") or ""))
            parts += [str(value) for value in content.get("data", {}).values()]
            was_stream = is_stream
        return "\n".join(part for part in parts if part)


class Channels:
    """A notebook's websocket. A thread reads it: as a browser does, it answers pings whatever the test waits for."""

    def __init__(self, socket: websocket.WebSocket, session: str) -> None:
        self.socket, self.session = socket, session
        #: What the gateway gave as the reason when it closed the websocket (RFC 6455, 7.4); None before.
        self.close_code: int | None = None
        self._frames = queue.SimpleQueue[str | bytes | None]()
        self._reader = threading.Thread(target=self._read, name="notebook", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        self.socket.settimeout(None)
        with contextlib.suppress(OSError, websocket.WebSocketException):
            while True:
                opcode, frame = self.socket.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    self.close_code = int.from_bytes(frame[:2], "big")
                    break
                self._frames.put(frame)
        self._frames.put(None)

    def send(self, msg_type: str, content: dict[str, Any], channel: str = "shell") -> str:
        """Send a message and return its id."""
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": msg_type,
            "session": self.session,
            "username": "",
            "version": "5.3",
        }
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": channel}
        self.socket.send(json.dumps(message | {"buffers": []}))
        return str(header["msg_id"])

    def ask(self, msg_type: str, content: dict[str, Any], timeout: float = ANSWER_LIMIT) -> dict[str, Any]:
        """Send a request and return the content of its reply."""
        return self.finish(self.send(msg_type, content), timeout, idle=False).reply

    def execute(self, code: str) -> str:
        """Begin to run a cell and return its message id."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        return self.send("execute_request", content | {"stop_on_error": True})

    def begin(self, code: str, marker: Path, language: str = SCALA) -> str:
        """Begin to run a cell; return its message id when it comes to `HERE`, where it makes `marker`."""
        msg_id = self.execute(code.replace(HERE, language.replace("PATH", str(marker))))
        wait_until(marker.exists, "the cell", ANSWER_LIMIT)
        return msg_id

    def run(self, code: str, timeout: float = ANSWER_LIMIT) -> Result:
        """Run a cell to its end."""
        return self.finish(self.execute(code), timeout)

    def finish(self, msg_id: str, timeout: float = ANSWER_LIMIT, idle: bool = True) -> Result:
        """Collect what belongs to `msg_id` until its reply and (with `idle`) its idle status are there."""
        messages: list[dict[str, Any]] = []
        reply: dict[str, Any] | None = None
        is_idle = not idle
        limit = time.monotonic() + timeout
        while reply is None or not is_idle:
            message = self.receive(limit - time.monotonic())
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            if message["channel"] in ("shell", "control"):
                reply = message["content"]
            elif message["msg_type"] == "status":
                is_idle = is_idle or message["content"]["execution_state"] == "idle"
            else:
                messages.append(message)
        return Result(reply, messages)

    def receive(self, timeout: float) -> dict[str, Any]:
        """Return the next message of any kind. Raises TimeoutError, and ConnectionError when the websocket closes."""
        try:
            frame = self._frames.get(timeout=max(0.01, timeout))
        except queue.Empty:
            raise TimeoutError("no answer in time") from None
        if frame is None:
            self._frames.put(None)
            raise ConnectionError("the gateway closed the websocket")
        return dict(json.loads(frame))

    def close(self) -> None:
        """Close it; the gateway has 3 s to agree. Idempotent."""
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self.socket.send_close()
        self._reader.join(3)
        if self.socket.sock is not None:
            with contextlib.suppress(OSError):
                self.socket.sock.shutdown(sockets.SHUT_RDWR)
            self._reader.join()
            self.socket.shutdown()
