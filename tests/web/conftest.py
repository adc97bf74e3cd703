"""A gateway in the test's own process, with python kernels: quick, and every handler is the real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kernel_gateway.gatewayapp import KernelGatewayApp
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from traitlets.config import Config

from tests.e2e.gateway import free_port

if TYPE_CHECKING:
    from tests.fakes.toree import FakeSpark  # it imports Client from here

DEFAULTS = "spark.master local[2]\nspark.hadoop.fs.secret.key hush-hush-secret\n"


@dataclass
class Client:
    """Asks the gateway under test."""

    app: KernelGatewayApp
    base_url: str

    async def ask(
        self, method: str, path: str, body: Any = None, raw: bytes | None = None, **headers: str
    ) -> HTTPResponse:
        """One request, whatever its status. `body` is sent as JSON, `raw` as it is."""
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
        """Start a python kernel; its id."""
        answer = await self.ask("POST", "/api/kernels", {"name": "python3"} | body)
        assert answer.code == 201, answer.body
        return str(json.loads(answer.body)["id"])

    async def run(self, kernel_id: str, code: str) -> str:
        """What `code` prints in a python kernel."""
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


@pytest.fixture
def settings() -> dict[str, Any]:
    """Traits for the gateway under test: class name -> traits. Tests override it."""
    return {}


@pytest.fixture
def environ(spark: FakeSpark) -> Path:
    """A Jupyter and a Spark set-up of the test's own; the directory of Spark's configuration."""
    (spark.conf / "spark-defaults.conf").write_text(DEFAULTS)
    return spark.conf


def make_app(settings: dict[str, Any]) -> KernelGatewayApp:
    """A gateway with kg2at, not listening yet."""
    config = Config(settings)
    config.KernelGatewayApp.api = "kg2at_personality"
    app = KernelGatewayApp(config=config)
    app.initialize([], new_httpserver=False)
    return app


@contextmanager
def serving(io_loop: Any, settings: dict[str, Any]) -> Iterator[Client]:
    """A gateway in this process, listening; all its kernels are ended afterwards."""
    port = free_port()

    async def serve() -> tuple[Any, HTTPServer]:
        app = make_app(settings)
        server = HTTPServer(app.web_app)
        server.listen(port, "127.0.0.1")
        await app.personality.begin()  # as it does before it serves anybody
        return app, server

    app, server = io_loop.run_sync(serve)
    try:
        yield Client(app, f"http://127.0.0.1:{port}")
    finally:

        async def end() -> None:
            server.stop()
            await app.personality.shutdown()
            await app.kernel_websocket_connection_class.close_all()
            await server.close_all_connections()
            # What was cancelled comes to its end.
            for _ in range(5):
                await asyncio.sleep(0)

        io_loop.run_sync(end)


@pytest.fixture
def gateway(io_loop: Any, environ: Path, settings: dict[str, Any]) -> Iterator[Client]:
    with serving(io_loop, settings) as client:
        yield client
