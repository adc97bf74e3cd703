"""Ports as sockets show them: who has which."""

from __future__ import annotations

import contextlib
import errno
import functools
import socket
from collections.abc import Collection, Mapping

from ...system.free_ports import bind_error
from ...system.time_limits import within

#: Seconds for a name or a port that does not answer.
LIMIT = 0.8


@functools.cache
def _owners() -> Mapping[int, str]:
    """Return who listens on each port of this machine, as far as the system tells: "java (pid 42)", "somebody"."""
    try:
        import psutil
    except ImportError:  # z/OS
        return {}
    try:
        listening = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    except (psutil.Error, OSError):
        return {}
    return {each.laddr.port: _process(each.pid) for each in listening if each.laddr}


def _process(pid: int | None) -> str:
    """Return the name of a process; of Spark's, which are all "java", that of its main class (Master, Worker)."""
    import psutil

    if pid is None:
        return "somebody"
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        main = next((word for word in process.cmdline() if word.startswith("org.apache.spark.deploy")), "")
        return f"{main.rpartition('.')[2] or process.name()} (pid {pid})"
    return f"pid {pid}"


def taken_by(port: int) -> str | None:
    """Return who has `port` on this machine; None when it is free."""
    error = bind_error("", port)
    if error is None:
        return None
    return "nobody, but you may not listen there" if error.errno == errno.EACCES else _owners().get(port, "somebody")


def answering(addresses: Collection[tuple[str, int]]) -> dict[tuple[str, int], bool]:
    """Return whether each (host, port) elsewhere accepts a connection. Blocks little more than a second."""
    names = {f"{host} {port}": (host, port) for host, port in addresses}
    tasks = {name: lambda at=at: _connects(*at) for name, at in names.items()}
    return {names[name]: answer is True for name, answer in within(LIMIT, tasks).items()}


def _connects(host: str, port: int) -> bool:
    with socket.create_connection((host.strip("[]"), port), timeout=LIMIT):
        return True
