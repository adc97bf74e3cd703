"""The trial run of `check --start`: a gateway, a kernel, a Spark job, and an orderly end."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection

from ...errors import KG2ATError
from ...kernels.specs import SparkKernelSpecManager
from ..command import Command
from ..progress import Progress
from .finding import Finding, error, ok
from .trial_gateway import TrialGateway, trial_gateway

#: What is run in each kernel that is tried, and shows RESULT; in Python it needs the workers' Python, too.
JOBS = {
    "apache_toree_scala": "println(sc.parallelize(1 to 100).sum())",
    "spark_python": "print(sc.parallelize(range(1, 101)).map(float).sum())",
}
RESULT = "5050.0"
SHOW_LINES = 5


def trial_run(command: Command, limit: float) -> list[Finding]:
    """Return a finding for each step, up to the first that failed. Takes `limit` seconds at most, and some to end."""
    with tempfile.TemporaryDirectory(prefix="kg2at-check-") as directory:
        return asyncio.run(_run(command, Path(directory), limit))


async def _run(command: Command, directory: Path, limit: float) -> list[Finding]:
    kernels = await asyncio.to_thread(_kernels, command)
    # The gateway ends before asyncio waits for threads that still ask it, as after Ctrl-C.
    with Progress(sys.stderr, transient=True) as progress, trial_gateway(command, directory) as gateway:
        return await Trial(gateway, limit, kernels).findings(progress)


def _kernels(command: Command) -> list[str]:
    """Return the kernels to try: of those that are offered, one for each kind. Blocking."""
    settings = command.settings
    specs = SparkKernelSpecManager(launcher=command.launcher, inject=settings.inject_kernelspecs, log=command.log)
    return [name for name in JOBS if name in specs.injected] or list(JOBS)[:1]


class Trial:
    """A trial run of `kernels`, one after the other, in at most `limit` seconds."""

    def __init__(self, gateway: TrialGateway, limit: float, kernels: Sequence[str]) -> None:
        self.gateway, self.limit, self.kernels = gateway, limit, kernels
        self.deadline = time.monotonic() + limit

    def left(self) -> float:
        """Return the seconds until the limit."""
        return max(0.1, self.deadline - time.monotonic())

    def steps(self) -> dict[str, Callable[[], Awaitable[str]]]:
        """Return what to do, by the name of its finding: all for the first kernel, and then for the others."""
        steps: dict[str, Callable[[], Awaitable[str]]] = {"gateway": self.listen}
        for name in self.kernels:
            of_it = "" if name == self.kernels[0] else f", {name}"
            steps |= {f"{step}{of_it}": do for step, do in _Kernel(self.gateway, name, self.left).steps().items()}
        return steps

    async def findings(self, progress: Progress) -> list[Finding]:
        """Take the steps in turn, and return what came of them; one that fails is the last."""
        steps = self.steps()
        found: list[Finding] = []
        for number, (name, step) in enumerate(steps.items(), 1):
            progress.show(f"[{number}/{len(steps)}] {name}")
            began = time.monotonic()
            try:
                said = await asyncio.wait_for(step(), self.left())
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


class _Kernel:
    """What a notebook's user does with one kernel. `left` returns the seconds that are left for it."""

    def __init__(self, gateway: TrialGateway, name: str, left: Callable[[], float]) -> None:
        self.gateway, self.name, self.left = gateway, name, left
        self.kernel_id = ""

    def steps(self) -> dict[str, Callable[[], Awaitable[str]]]:
        return {"kernel": self.launch, "kernel's answer": self.answer, "Spark job": self.job, "shutdown": self.end}

    async def launch(self) -> str:
        answer = await self.gateway.ask("POST", "/api/kernels", self.left(), {"name": self.name, "env": {}})
        self.kernel_id = answer["id"]
        return f"{self.name} started"

    async def answer(self) -> str:
        self.channels = _Channels(await self.gateway.connect(self.kernel_id))
        await self.channels.run("kernel_info_request", {})
        return "ready for cells"

    async def job(self) -> str:
        code = JOBS[self.name]
        cell = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        text = await self.channels.run("execute_request", cell)
        if RESULT not in text:
            raise KG2ATError(f"{code} gave {text.strip() or 'nothing'}")
        return f"{code} is {RESULT}"

    async def end(self) -> str:
        self.channels.socket.close()
        await self.gateway.ask("DELETE", f"/api/kernels/{self.kernel_id}", self.left())
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
