"""Addresses and ports as sockets show them: which are this machine's, and who has which port."""

from __future__ import annotations

import contextlib
import errno
import functools
import socket
from collections.abc import Collection, Iterable, Mapping

from ...system.free_ports import bind_error
from ...system.time_limits import within

#: Seconds for a name or a port that does not answer.
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
