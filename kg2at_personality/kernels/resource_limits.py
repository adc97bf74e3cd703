"""How many kernels and websockets a gateway can hold: what its file descriptors and ZeroMQ's sockets allow."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from typing import Any

import zmq

from ..errors import NoRoom

try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]

#: As many descriptors as ZeroMQ has sockets at most (ZMQ_SOCKET_LIMIT): more would be of no use.
MOST = 65535
#: Descriptors kept for what can't be refused: the end of a kernel, an answer to a client.
SPARE = 64
FULL = (
    "Too many open files: the gateway has no {what} left. Close notebooks and shut down kernels that nobody needs, and "
    "try again; its administrator can raise the limit (ulimit -n)."
)


def raise_limits(context: zmq.Context[Any]) -> None:
    """Let this process open as many files as the system allows it, and ZeroMQ take a socket for each.

    ZeroMQ's own limit is 1,023. To be called before the first socket (zmq_ctx_set, ZMQ_MAX_SOCKETS). Each socket takes
    a descriptor, and one more for its connection, so that from here on descriptors run out first.
    """
    sockets = min(_raise_descriptor_limit(), int(context.get(zmq.SOCKET_LIMIT)))
    context.set(zmq.MAX_SOCKETS, max(sockets, int(context.get(zmq.MAX_SOCKETS))))


def _raise_descriptor_limit() -> int:
    """Raise the soft limit towards the hard one. Return what it is then, MOST where there is none."""
    if resource is None:
        return MOST
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if wanted > soft:
        # macOS has another limit, which it does not tell.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return soft


def check_descriptors(count: int) -> None:
    """Raise NoRoom unless `count` descriptors, and SPARE, can be opened. Only opening them tells on every system."""
    with ExitStack() as taken:
        try:
            for _ in range(count + SPARE):
                taken.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            raise no_room("file descriptors") from error


def no_room(what: str) -> NoRoom:
    """Return the error which says that there are no more of `what`."""
    return NoRoom(FULL.format(what=what))
