"""A gateway in the test's own process, with python kernels: quick, and every handler is the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from kernel_gateway.gatewayapp import KernelGatewayApp
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from traitlets.config import Config


@dataclass
class Client:
    """Asks the gateway under test."""

    app: KernelGatewayApp
    base_url: str

    async def ask(
        self, method: str, path: str, body: Any = None, raw: bytes | None = None, **headers: str
    ) -> HTTPResponse:
        """Send one request and return the answer, whatever its status. `body` is sent as JSON, `raw` as it is."""
        content = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        if content is None and method in ("POST", "PATCH"):
            content = b""
        return await AsyncHTTPClient().fetch(
            self.base_url + path,
            method=method,
            body=content,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            raise_error=False,
            request_timeout=60,
            allow_nonstandard_methods=True,
        )

    async def start(self, **body: Any) -> str:
        """Start a python kernel and return its id."""
        answer = await self.ask("POST", "/api/kernels", {"name": "python3"} | body)
        assert answer.code == 201, answer.body
        return str(json.loads(answer.body)["id"])

    async def run(self, kernel_id: str, code: str) -> str:
        """Run `code` in a python kernel and return what it prints."""
        kernel = self.app.kernel_manager.get_kernel(kernel_id)
        await kernel.answered()  # until then its ports may change
        client = kernel.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=60)
            printed: list[str] = []
            await client.execute_interactive(
                code, timeout=60, output_hook=lambda message: printed.append(message["content"].get("text", ""))
            )
            return "".join(printed)
        finally:
            client.stop_channels()


def make_app(settings: dict[str, Any]) -> KernelGatewayApp:
    """Return a gateway with kg2at that does not listen yet, and begins when a test says so.

    Kernel Gateway has it begin 0.1 s later (`call_later` in gatewayapp.py, init_configurables), which is in the midst
    of a test or after it.
    """
    config = Config(settings)
    config.KernelGatewayApp.api = "kg2at_personality"
    if "warm_kernels" not in config.KG2ATPersonality:
        config.KG2ATPersonality.warm_kernels = {}
    app = KernelGatewayApp(config=config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IOLoop.current(), "call_later", lambda *arguments: None)
        app.initialize([], new_httpserver=False)
    return app


@contextmanager
def serving(io_loop: Any, settings: dict[str, Any]) -> Iterator[Client]:
    """Run a gateway in this process, and end it and all its kernels afterwards."""
    sockets = bind_sockets(0, "127.0.0.1")

    async def serve() -> tuple[Any, HTTPServer]:
        app = make_app(settings)
        server = HTTPServer(app.web_app)
        server.add_sockets(sockets)
        await app.personality.begin()  # as it does before it serves anybody
        return app, server

    app, server = io_loop.run_sync(serve)
    try:
        yield Client(app, f"http://127.0.0.1:{sockets[0].getsockname()[1]}")
    finally:

        async def end() -> None:
            server.stop()
            await app.personality.shutdown()
            await app.kernel_websocket_connection_class.close_all()
            await server.close_all_connections()

        io_loop.run_sync(end)
