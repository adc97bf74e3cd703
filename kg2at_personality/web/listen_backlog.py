"""How many connections the system keeps for the gateway until it accepts them."""

from __future__ import annotations

from tornado.httpserver import HTTPServer

from .library_internals import listening_sockets


def widen(server: HTTPServer, backlog: int) -> None:
    """Let `backlog` connections wait, instead of tornado's 128 (netutil.bind_sockets), which Kernel Gateway keeps.

    A second listen(2) changes that number alone. Idempotent. Raises OSError where a system does not allow it.
    """
    for listening in listening_sockets(server):
        listening.listen(backlog)
