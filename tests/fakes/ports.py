"""Ports for tests: free ones, and those that somebody else is quicker to take."""

from __future__ import annotations

import random
import socket
from typing import Any

import pytest
from jupyter_client.provisioning import LocalProvisioner


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_range(size: int) -> str:
    """A range of ports that nobody listens on, below those the system gives out itself."""
    for _ in range(1000):
        first = random.randrange(20000, 30000)
        if all(_is_free(port) for port in range(first, first + size)):
            return f"{first}-{first + size - 1}"
    raise AssertionError("no free range of ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def steal_a_port(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Have somebody take a port of the next kernel before its process does; who it is, once it has happened."""
    launch, thieves = LocalProvisioner.launch_kernel, list[socket.socket]()

    async def steal(self: Any, cmd: Any, **kwargs: Any) -> Any:
        if not thieves:
            thieves.append(socket.create_server(("127.0.0.1", self.connection_info["shell_port"])))
        return await launch(self, cmd, **kwargs)

    monkeypatch.setattr(LocalProvisioner, "launch_kernel", steal)
    return thieves
