"""Which hosts are this machine."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

from .time_limits import within

#: Seconds for a name that nobody knows.
LIMIT = 0.8


def is_here(host: str) -> bool:
    """Return whether `host` is an address or a name of this machine. Raises OSError for an unknown name. May block."""
    for family, _, _, _, address in socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_STREAM):
        with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.bind(address)
            return True
    return False


def hosts_here(hosts: Iterable[str]) -> frozenset[str]:
    """Return those of `hosts` that are this machine, without slow and unknown names. Blocks at most a second."""
    answers = within(LIMIT, {host: lambda host=host: is_here(host) for host in set(hosts)})  # type: ignore[misc]
    return frozenset(host for host, answer in answers.items() if answer is True)
