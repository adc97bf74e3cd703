"""Ports for tests: some that nobody else takes meanwhile, and one that somebody is quicker to take.

A held port is bound by this program, which never listens on it. Linux lets whoever names it listen on it, as long as
both sockets have SO_REUSEADDR (see socket(7)). It is none that Linux gives to who asks for any port: a kernel asks for
some, gives them back, and names them a moment later (jupyter_client's LocalPortCache), when they may be held here.
"""

from __future__ import annotations

import functools
import random
import socket
import sys
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from jupyter_client.provisioning import LocalProvisioner

LOOPBACK = "127.0.0.1"
#: Ports that Linux gives to nobody who asks for any port: below /proc/sys/net/ipv4/ip_local_port_range.
NAMED_PORTS = range(20000, 32000)
#: Closed when this program ends.
_held = ExitStack()


def held_port() -> int:
    """Return a port of 127.0.0.1 on which only who knows it can listen, as long as the tests run."""
    return _held_row(1)


@functools.cache
def held_range(size: int) -> str:
    """Return such ports in a row, as "20000-20009". Tests of one program come one after the other: all get the same."""
    first = _held_row(size)
    return f"{first}-{first + size - 1}"


def _held_row(size: int) -> int:
    """Return the first of so many held ports in a row."""
    for first in random.sample(NAMED_PORTS[:-size], 1000):
        with suppress(OSError), ExitStack() as row:
            for port in range(first, first + size):
                row.enter_context(_bound(port))
            _keep(row)
            return first
    raise AssertionError(f"no {size} free ports in a row")


def _bound(port: int) -> socket.socket:
    """Bind a port that nobody has bound, and let others listen on it. Raises OSError when somebody has."""
    holder = socket.socket()
    try:
        holder.bind((LOOPBACK, port))  # without SO_REUSEADDR: not one that other tests hold
    except OSError:
        holder.close()
        raise
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return holder


def _keep(row: ExitStack) -> None:
    """Leave the sockets open. Elsewhere than on Linux nobody could listen then: there the ports are only free now."""
    if sys.platform == "linux":
        _held.push(row.pop_all())


def steal_a_port(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Have somebody take a port of the next kernel before its process does; who it is, once it has happened."""
    launch, thieves = LocalProvisioner.launch_kernel, list[socket.socket]()

    async def steal(self: Any, cmd: Any, **kwargs: Any) -> Any:
        if not thieves:
            thieves.append(socket.create_server((LOOPBACK, self.connection_info["shell_port"])))
        return await launch(self, cmd, **kwargs)

    monkeypatch.setattr(LocalProvisioner, "launch_kernel", steal)
    return thieves
