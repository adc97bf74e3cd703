"""TCP ports of this machine on which a program can listen."""

from __future__ import annotations

import contextlib
import errno
import os
import socket

#: How often a process is started when others take its ports between their choice and its start.
PORT_TRIES = 3
#: What a process prints that finds its port taken (strerror of EADDRINUSE; java.net.BindException).
IN_USE = "Address already in use"


def bind_error(ip: str, port: int) -> OSError | None:
    """Return why a program can't listen on the port of this address now; None when it can. "" is every IPv4 address."""
    with socket.socket(_family(ip)) as probe:
        # As ZeroMQ's and Java's listeners do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError as error:
            return error
    return None


def is_free(ip: str, port: int) -> bool:
    """Tell whether a program can listen on the port now. Raises OSError for what is no address of this machine."""
    error = bind_error(ip, port)
    if error is not None and error.errno not in (errno.EADDRINUSE, errno.EACCES):
        raise error
    return error is None


def free_ports(ip: str, *wanted: int) -> list[int]:
    """Return different ports on which a program can listen now: those `wanted`, and any free one for each 0.

    They are free again when this returns, so that another program may take one first. Raises OSError for a port of
    `wanted` that can't be had, which its `filename` tells: "port 7077".
    """
    with contextlib.ExitStack() as held:
        return [held.enter_context(_listener(ip, port)).getsockname()[1] for port in wanted]


def _listener(ip: str, port: int) -> socket.socket:
    try:
        return socket.create_server((ip, port), family=_family(ip))
    except OSError as error:
        # create_server adds the address to the system's words.
        raise OSError(error.errno, os.strerror(error.errno or 0), f"port {port}") from error


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET
