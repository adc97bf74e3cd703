"""How many connections may wait until the gateway accepts them."""

from __future__ import annotations

from tornado.httpserver import HTTPServer


def widen(server: HTTPServer, backlog: int) -> None:
    """Let `backlog` connections wait, where Kernel Gateway leaves tornado's 128 (netutil.bind_sockets).

    Listening again only changes that number. Raises OSError where a system does not allow it.
    """
    for listening in server._sockets.values():
        listening.listen(backlog)
