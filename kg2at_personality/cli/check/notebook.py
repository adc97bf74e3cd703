"""The proof: a gateway, a kernel, a Spark job, and an orderly end. Used by `check --start`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from ...errors import KG2ATError
from ...system.free_ports import free_ports
from ...system.process_guard import GuardedProcess
from ..command import Command
from .finding import Finding, error, ok

CODE, RESULT = "println(sc.parallelize(1 to 100).sum())", "5050.0"
CELL = {"code": CODE, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
STEPS = ("gateway", "kernel", "kernel's answer", "Spark job", "shutdown")
KERNEL = "apache_toree_scala"
SHOW_LINES = 5


def start(command: Command, limit: float) -> list[Finding]:
    """A line for each step, up to the first that failed. Takes at most `limit` seconds and some for the end."""
    with tempfile.TemporaryDirectory(prefix="kg2at-check-") as directory, _progress() as advance:
        found: list[Finding] = []
        with _gateway(command, Path(directory)) as gateway:
            asyncio.run(_steps(gateway, found, advance, limit))
        return found


@dataclass(frozen=True)
class _Gateway:
    """A gateway of our own."""

    group: GuardedProcess
    port: int
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """JSON from the gateway. Raises KG2ATError with its reason."""
        url = f"http://127.0.0.1:{self.port}{path}"
        content = None if body is None else json.dumps(body)
        request = HTTPRequest(url, method, self.headers, content, connect_timeout=5, request_timeout=0)
        try:
            answer = await AsyncHTTPClient().fetch(request)
            return json.loads(answer.body) if answer.body else None
        except HTTPClientError as failure:
            raise KG2ATError(_message(failure)) from failure

    async def listening(self) -> None:
        """Return when it answers. Raises KG2ATError when it ended instead."""
        while self.group.running():
            with contextlib.suppress(OSError):
                await self.ask("GET", "/api")
                return
            await asyncio.sleep(0.1)
        raise KG2ATError("it ended by itself")

    async def connect(self, kernel_id: str) -> WebSocketClientConnection:
        """The kernel's websocket; opens once the kernel answers."""
        url = f"ws://127.0.0.1:{self.port}/api/kernels/{kernel_id}/channels?session_id={uuid.uuid4().hex}"
        try:
            return await websocket_connect(HTTPRequest(url, headers=self.headers, request_timeout=0))
        except HTTPClientError as failure:
            raise KG2ATError(_message(failure)) from failure


def _message(failure: HTTPClientError) -> str:
    """What kg2at says of its own errors."""
    with contextlib.suppress(ValueError, AttributeError, LookupError):
        return str(json.loads(failure.response.body)["message"])  # type: ignore[union-attr]
    return str(failure)


@contextlib.contextmanager
def _gateway(command: Command, directory: Path) -> Iterator[_Gateway]:
    """Like the one that the user would start, but on loopback and a free port; it ends with the block."""
    [port] = free_ports("127.0.0.1", 0)
    token = command.gateway.auth_token or secrets.token_hex(24)
    own = {"api": "kg2at_personality", "ip": "127.0.0.1", "port": port, "port_retries": 0, "base_url": "/"}
    own |= {"certfile": "", "keyfile": "", "client_ca": "", "ssl_version": None, "prespawn_count": 0}
    argv = [sys.executable, "-m", "kernel_gateway", *_passed_on(command)]
    argv += [f"--KernelGatewayApp.{name}={value}" for name, value in own.items()]
    group = GuardedProcess(argv, os.environ | {"KG_AUTH_TOKEN": token}, directory / "gateway.log", "TERM")
    try:
        yield _Gateway(group, port, token)
    finally:
        group.stop(grace=30.0)


def _passed_on(command: Command) -> list[str]:
    """The options of ours that mean the same to the gateway, the token excepted, which `ps` would show."""
    options = [word for word in command.argv if word.startswith(("--KG2ATPersonality.", "--KernelGatewayApp."))]
    config = [f"--config={command.config_file}"] if command.config_file else []
    return [*config, *(word for word in options if not word.startswith("--KernelGatewayApp.auth_token"))]


async def _steps(gateway: _Gateway, found: list[Finding], advance: Any, limit: float) -> None:
    """Take the steps in turn; a failure ends them."""
    began = time.monotonic()
    steps = _Steps(gateway)
    for name, step in zip(STEPS, (steps.listen, steps.launch, steps.answer, steps.job, steps.end), strict=True):
        advance(name)
        at = time.monotonic()
        try:
            said = await asyncio.wait_for(step(), max(0.0, limit - (at - began)))
        except (asyncio.TimeoutError, TimeoutError):
            found.append(_failed(name, f"not done within {limit:g} s", gateway))
            return
        except (KG2ATError, OSError) as failure:
            found.append(_failed(name, str(failure), gateway))
            return
        found.append(ok(name, f"{said} ({time.monotonic() - at:.1f} s)"))
    advance("")


def _failed(name: str, said: str, gateway: _Gateway) -> Finding:
    said_so = [line for line in gateway.group.tail(100).splitlines() if not line.startswith("[I ")]
    lines = " | ".join(said_so[-SHOW_LINES:])
    return error(name, said, f"the gateway's last words: {lines}" if lines else "start a gateway, and see what it says")


class _Steps:
    """What a notebook user does."""

    def __init__(self, gateway: _Gateway) -> None:
        self.gateway = gateway
        self.kernel_id = ""
        self.session = uuid.uuid4().hex

    async def listen(self) -> str:
        await self.gateway.listening()
        return "listens"

    async def launch(self) -> str:
        answer = await self.gateway.ask("POST", "/api/kernels", {"name": KERNEL, "env": {}})
        self.kernel_id = answer["id"]
        return f"{KERNEL} started"

    async def answer(self) -> str:
        self.socket = await self.gateway.connect(self.kernel_id)
        await self._run("kernel_info_request", {})
        return "ready for cells"

    async def job(self) -> str:
        text = await self._run("execute_request", CELL)
        if RESULT not in text:
            raise KG2ATError(f"{CODE} gave {text.strip() or 'nothing'}")
        return f"{CODE} is {RESULT}"

    async def end(self) -> str:
        self.socket.close()
        await self.gateway.ask("DELETE", f"/api/kernels/{self.kernel_id}")
        return "the kernel is gone"

    async def _run(self, msg_type: str, content: dict[str, Any]) -> str:
        """Send a request, wait for its reply and its idle status; the text that came between."""
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
        while (frame := await self.socket.read_message()) is None or isinstance(frame, bytes):
            if frame is None:
                raise KG2ATError("the gateway closed the kernel's websocket")
        return json.loads(frame)


@contextlib.contextmanager
def _progress() -> Iterator[Any]:
    """A bar at a terminal (standard error), nothing elsewhere; call what it gives with the name of each step."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda name: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=len(STEPS), completed=-1)
        yield lambda name: bar.update(task, advance=1, description=name)
