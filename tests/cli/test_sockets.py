"""Ports, as `ports` and `check` see them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from kg2at_personality.cli.ports import sockets


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Who listens where is asked once in a process."""
    sockets._owners.cache_clear()
    yield
    sockets._owners.cache_clear()


def test_who_has_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        assert "pid" in str(sockets.taken_by(port))
        sockets._owners.cache_clear()
        monkeypatch.setattr("psutil.net_connections", lambda kind: [])
        assert sockets.taken_by(port) == "somebody"
    assert sockets.taken_by(port) is None
    monkeypatch.setattr(sockets, "bind_error", lambda ip, port: OSError(errno.EACCES, "Permission denied"))
    assert sockets.taken_by(80) == "nobody, but you may not listen there"


def test_who_has_a_port_where_nothing_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: str) -> object:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("psutil.net_connections", refuse)
    with socket.create_server(("", 0)) as server:
        assert sockets.taken_by(server.getsockname()[1]) == "somebody"
    assert sockets._process(None) == "somebody"
    assert sockets._process(2**31 - 1) == f"pid {2**31 - 1}"


def test_ports_that_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = ("127.0.0.1", server.getsockname()[1])
        nobody = ("no.such.invalid", 7077)
        assert sockets.answering([there, nobody]) == {there: True, nobody: False}
