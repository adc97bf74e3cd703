"""Once this is imported, kernels that this process starts get ports that nobody else gets by chance.

jupyter_client asks Linux for any port, gives it back, and the kernel listens on it a moment later. With hundreds of
connections a second beside it, somebody has taken it by then every few hundred kernels. kg2at starts such a kernel
again, which tests/kernels tries on purpose; any other test would have to reckon with it.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from jupyter_client import connect

#: Below /proc/sys/net/ipv4/ip_local_port_range, and below those of tests/fakes/ports.py.
FIRST, WORKERS, EACH = 10000, 10, 1000


class KernelSocket(socket.socket):
    """Binds the next of this worker's ports where any is asked for."""

    def bind(self, address: Any) -> None:
        host, port = address
        if port:
            return super().bind(address)
        for own in itertools.islice(_ports(os.getpid()), EACH):
            with suppress(OSError):
                return super().bind((host, own))
        raise OSError(f"none of {EACH} ports is free")


_orders: dict[int, Iterator[int]] = {}


def _ports(pid: int) -> Iterator[int]:
    """Those of this worker of pytest-xdist, again and again. A fork begins elsewhere than the one before it."""
    if pid not in _orders:
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
        ports = range(FIRST + worker * EACH, FIRST + (worker + 1) * EACH)
        begin = pid * 97 % EACH
        _orders[pid] = itertools.cycle([*ports[begin:], *ports[:begin]])
    return _orders[pid]


connect.socket = SimpleNamespace(**vars(socket) | {"socket": KernelSocket})  # type: ignore[attr-defined]
