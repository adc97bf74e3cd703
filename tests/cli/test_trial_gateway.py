"""The gateway of `check --start`, where it does not do what it should."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

import pytest

from kg2at_personality.cli.check.trial_gateway import TrialGateway
from kg2at_personality.cli.gateway_client import GatewayClient
from kg2at_personality.errors import KG2ATError
from kg2at_personality.system.process_guard import GuardedProcess


class Answers(BaseHTTPRequestHandler):
    """404 for /missing, else a refusal with a message, also of a websocket."""

    def do_GET(self) -> None:
        body = json.dumps({"message": "No cores are free."}).encode()
        self.send_response(404 if self.path == "/missing" else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Group:
    """A process that runs for so many looks."""

    looks: int

    def running(self) -> bool:
        self.looks -= 1
        return self.looks >= 0


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def gateway(url: str, looks: int = 1) -> TrialGateway:
    return TrialGateway(cast(GuardedProcess, Group(looks)), GatewayClient(url, "token"))


def test_its_own_words_are_the_reason(url: str) -> None:
    with pytest.raises(KG2ATError, match=r"^No cores are free\.$"):
        asyncio.run(gateway(url).ask("GET", "/api/kernels", 5.0))
    with pytest.raises(KG2ATError, match="has no /missing"):
        asyncio.run(gateway(url).ask("GET", "/missing", 5.0))


def test_a_websocket_that_is_refused(url: str) -> None:
    with pytest.raises(KG2ATError, match=r"^No cores are free\.$"):
        asyncio.run(gateway(url).connect("some-id"))


def test_it_ends_before_it_listens() -> None:
    with pytest.raises(KG2ATError, match="it ended by itself"):
        asyncio.run(gateway("http://127.0.0.1:1", looks=2).listening())
