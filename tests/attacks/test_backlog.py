"""A burst of clients: more connections at once than a loop that is busy can accept."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.fakes.gateway_process import Gateway
from tests.fakes.toree import FakeSpark

CLIENTS = 500
SYSTEM_LIMIT = Path("/proc/sys/net/core/somaxconn")


@pytest.mark.skipif(
    SYSTEM_LIMIT.exists() and int(SYSTEM_LIMIT.read_text()) < CLIENTS, reason="the system allows fewer to wait"
)
def test_500_clients_of_a_gateway_that_is_busy_all_get_an_answer(tmp_path: Path) -> None:
    spark = FakeSpark(tmp_path)
    with spark, Gateway(tmp_path / "gateway", environ=spark.environ, token="", quick=True) as gateway:
        assert gateway.process is not None
        os.kill(gateway.process.pid, signal.SIGSTOP)
        clients = []
        try:
            for _ in range(CLIENTS):
                clients.append(socket.create_connection(("127.0.0.1", gateway.port), timeout=60))
                clients[-1].sendall(b"GET /api HTTP/1.0\r\n\r\n")
        finally:
            os.kill(gateway.process.pid, signal.SIGCONT)
        for client in clients:
            client.settimeout(60)
            assert client.recv(64).startswith(b"HTTP/1.1 200")
            client.close()
