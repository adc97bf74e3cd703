"""A gateway of our own for `check --start`: like the one that the user would start, on loopback and a free port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from ...errors import KG2ATError
from ...system.free_ports import free_ports
from ...system.process_guard import GuardedProcess
from ..command import Command
from ..gateway_client import GatewayClient, GatewayRefusal, GatewayUnreachable

HOST = "127.0.0.1"
LISTEN_POLL = 0.1  # seconds between two looks whether it listens
LISTEN_LIMIT = 5.0  # seconds that each of them may take
STOP_GRACE = 30.0  # seconds that it has to end its kernels


@dataclass(frozen=True)
class TrialGateway:
    """The gateway's process group, and a client of it."""

    group: GuardedProcess
    client: GatewayClient

    async def listening(self) -> None:
        """Return when it answers. Raises KG2ATError when it ended instead."""
        while self.group.running():
            with contextlib.suppress(GatewayUnreachable):
                await self.ask("GET", "/api", LISTEN_LIMIT)
                return
            await asyncio.sleep(LISTEN_POLL)
        raise KG2ATError("it ended by itself")

    async def ask(self, method: str, path: str, limit: float, body: object = None) -> Any:
        """Return the JSON of its answer, for which it has `limit` seconds. Raises KG2ATError with its reason.

        Cancelled, it leaves a thread that waits for the answer: until `limit`, or the end of the gateway.
        """
        try:
            status, answer = await asyncio.to_thread(self.client.ask, method, path, limit, body)
        except GatewayRefusal as refusal:
            raise KG2ATError(refusal.said) from refusal
        if status == 404:
            raise KG2ATError(f"the gateway has no {path}")
        return answer

    async def connect(self, kernel_id: str) -> WebSocketClientConnection:
        """Return the kernel's websocket, which opens once the kernel answers. Raises KG2ATError with the reason."""
        url = f"{self.client.url}/api/kernels/{kernel_id}/channels?session_id={uuid.uuid4().hex}"
        headers = {"Authorization": f"token {self.client.token}"}
        try:
            return await websocket_connect(
                HTTPRequest(f"ws{url.removeprefix('http')}", headers=headers, request_timeout=0)
            )
        except HTTPClientError as failure:
            raise KG2ATError(_message(failure)) from failure


def _message(failure: HTTPClientError) -> str:
    """Return what kg2at says of its own errors."""
    with contextlib.suppress(ValueError, AttributeError, LookupError):
        return str(json.loads(failure.response.body)["message"])  # type: ignore[union-attr]
    return str(failure)


@contextlib.contextmanager
def trial_gateway(command: Command, directory: Path) -> Iterator[TrialGateway]:
    """Start the gateway with the settings of `command`; it ends with the block. Its log goes into `directory`."""
    [port] = free_ports(HOST, 0)
    token = command.gateway.auth_token or secrets.token_hex(24)
    own = {"api": "kg2at_personality", "ip": HOST, "port": port, "port_retries": 0, "base_url": "/"}
    own |= {"certfile": "", "keyfile": "", "client_ca": "", "ssl_version": None, "prespawn_count": 0}
    argv = [sys.executable, "-m", "kernel_gateway", *_passed_on(command)]
    argv += [f"--KernelGatewayApp.{name}={value}" for name, value in own.items()]
    # None waits for a user who won't come.
    argv.append("--KG2ATPersonality.warm_kernels={}")
    group = GuardedProcess(argv, os.environ | {"KG_AUTH_TOKEN": token}, directory / "gateway.log", "TERM")
    try:
        yield TrialGateway(group, GatewayClient(f"http://{HOST}:{port}", token))
    finally:
        group.stop(grace=STOP_GRACE)


def _passed_on(command: Command) -> list[str]:
    """Return the options of ours that mean the same to the gateway, without the token, which `ps` would show."""
    options = [word for word in command.argv if word.startswith(("--KG2ATPersonality.", "--KernelGatewayApp."))]
    config = [f"--config={command.config_file}"] if command.config_file else []
    return [*config, *(word for word in options if not word.startswith("--KernelGatewayApp.auth_token"))]
