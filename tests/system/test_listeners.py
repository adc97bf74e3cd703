"""Who listens on a port, with real sockets and processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kg2at_personality.system import listeners, processes
from kg2at_personality.system.listeners import listening_address, reachable

CHILD = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_a_process_of_its_own(server: socket.socket) -> None:
    port = server.getsockname()[1]
    assert listening_address(os.getpid(), port) == "127.0.0.1"


def test_a_port_on_which_another_listens(server: socket.socket) -> None:
    """As one that a report makes up."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert listening_address(other.pid, server.getsockname()[1]) == ""
        other.communicate(b"\n")


def test_a_process_that_it_has_started() -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        assert listening_address(os.getpid(), port) == "127.0.0.1"
        assert listening_address(child.pid, port) == "127.0.0.1"
        child.communicate()
    assert listening_address(os.getpid(), port) == ""
    assert listening_address(child.pid, port) == ""


def test_a_port_that_is_only_used(server: socket.socket) -> None:
    with socket.create_connection(server.getsockname()) as client:
        assert listening_address(os.getpid(), client.getsockname()[1]) == ""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::ffff:0.0.0.0", "127.0.0.1"),
        ("10.1.2.3", "10.1.2.3"),
        ("fd00::1", "fd00::1"),
    ],
)
def test_where_it_is_reached(address: str, expected: str) -> None:
    assert reachable(address) == expected


def test_without_psutil(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "psutil", None)
    assert listening_address(os.getpid(), server.getsockname()[1]) is None


def test_what_may_not_be_looked_at(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(process: object) -> list[object]:
        raise listeners.psutil.AccessDenied

    monkeypatch.setattr(listeners, "_connections", refused)
    assert listening_address(os.getpid(), server.getsockname()[1]) is None
