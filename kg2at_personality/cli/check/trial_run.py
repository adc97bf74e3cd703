"""The trial run of `check --start`: a gateway, a kernel, a Spark job, and an orderly end."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection

from ...errors import KG2ATError
from ..command import Command
from ..progress import Progress
from .finding import Finding, error, ok
from .trial_gateway import TrialGateway, trial_gateway

CODE, RESULT = "println(sc.parallelize(1 to 100).sum())", "5050.0"
CELL = {"code": CODE, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
KERNEL = "apache_toree_scala"
SHOW_LINES = 5


def trial_run(command: Command, limit: float) -> list[Finding]:
    """Return a finding for each step, up to the first that failed. Takes `limit` seconds at most, and some to end."""
    with tempfile.TemporaryDirectory(prefix="kg2at-check-") as directory:
        return asyncio.run(_run(command, Path(directory), limit))


async def _run(command: Command, directory: Path, limit: float) -> list[Finding]:
    # The gateway ends before asyncio waits for threads that still ask it, as after Ctrl-C.
    with Progress(sys.stderr, transient=True) as progress, trial_gateway(command, directory) as gateway:
        return await _Steps(gateway, limit).findings(progress)


class _Steps:
    """The steps of the trial run: what a notebook's user does."""

    def __init__(self, gateway: TrialGateway, limit: float) -> None:
        self.gateway, self.limit = gateway, limit
        self.deadline = time.monotonic() + limit
        self.kernel_id = ""

    @property
    def left(self) -> float:
        """Seconds until the limit."""
        return max(0.1, self.deadline - time.monotonic())

    async def findings(self, progress: Progress) -> list[Finding]:
        """Take the steps in turn, and return what came of them; one that fails is the last."""
        steps = {
            "gateway": self.listen,
            "kernel": self.launch,
            "kernel's answer": self.answer,
            "Spark job": self.job,
            "shutdown": self.end,
        }
        found: list[Finding] = []
        for number, (name, step) in enumerate(steps.items(), 1):
            progress.show(f"[{number}/{len(steps)}] {name}")
            began = time.monotonic()
            try:
                said = await asyncio.wait_for(step(), self.left)
            except (asyncio.TimeoutError, TimeoutError):
                return [*found, self._failed(name, f"not done within {self.limit:g} s")]
            except (KG2ATError, OSError) as failure:
                return [*found, self._failed(name, str(failure))]
            found.append(ok(name, f"{said} ({time.monotonic() - began:.1f} s)"))
        return found

    def _failed(self, name: str, said: str) -> Finding:
        """Return an error with the last lines of the gateway's log, without those that merely inform."""
        lines = [line for line in self.gateway.group.tail(100).splitlines() if not line.startswith("[I ")]
        words = " | ".join(lines[-SHOW_LINES:])
        remedy = f"the gateway's last words: {words}" if words else "start a gateway, and see what it says"
        return error(name, said, remedy)

    async def listen(self) -> str:
        await self.gateway.listening()
        return "listens"

    async def launch(self) -> str:
        answer = await self.gateway.ask("POST", "/api/kernels", self.left, {"name": KERNEL, "env": {}})
        self.kernel_id = answer["id"]
        return f"{KERNEL} started"

    async def answer(self) -> str:
        self.channels = _Channels(await self.gateway.connect(self.kernel_id))
        await self.channels.run("kernel_info_request", {})
        return "ready for cells"

    async def job(self) -> str:
        text = await self.channels.run("execute_request", CELL)
        if RESULT not in text:
            raise KG2ATError(f"{CODE} gave {text.strip() or 'nothing'}")
        return f"{CODE} is {RESULT}"

    async def end(self) -> str:
        self.channels.socket.close()
        await self.gateway.ask("DELETE", f"/api/kernels/{self.kernel_id}", self.left)
        return "the kernel is gone"


class _Channels:
    """The kernel's channels, by its websocket."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket, self.session = socket, uuid.uuid4().hex

    async def run(self, msg_type: str, content: dict[str, Any]) -> str:
        """Send a request, wait for its reply and its idle status, and return the text that came between.

        Raises KG2ATError when the kernel dies, or the websocket is closed.
        """
        header = {"msg_id": uuid.uuid4().hex, "msg_type": msg_type, "session": self.session, "username": ""}
        message = {"header": header | {"version": "5.3"}, "parent_header": {}, "metadata": {}, "content": content}
        await self.socket.write_message(json.dumps(message | {"channel": "shell", "buffers": []}))
        text, waiting = "", {"reply", "idle"}
        while waiting:
            answer = await self._read()
            said = answer["content"]
            if said.get("execution_state") in ("dead", "restarting"):
                raise KG2ATError("the kernel died")
            if answer["parent_header"].get("msg_id") == header["msg_id"]:
                waiting -= {"reply"} if answer["msg_type"].endswith("_reply") else {said.get("execution_state")}
                text += said.get("text") or said.get("evalue") or ""
        return text

    async def _read(self) -> Any:
        """Return the next message; those with buffers are skipped."""
        while (frame := await self.socket.read_message()) is None or isinstance(frame, bytes):
            if frame is None:
                raise KG2ATError("the gateway closed the kernel's websocket")
        return json.loads(frame)
