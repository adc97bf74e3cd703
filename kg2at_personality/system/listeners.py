"""Which process listens on a TCP port, and at which address, as psutil tells."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from typing import Any

from .processes import handle, has_psutil

try:
    import psutil
except ImportError:
    psutil = None  # type: ignore[assignment]


def listening_address(pid: int, port: int) -> str | None:
    """Return the address at which a process, or one that it has started, listens on the port; "" when none does.

    Where one listens at every address it is the loopback's. None where the system does not tell: without psutil, and
    of another user's processes. Blocking.
    """
    if not has_psutil():
        return None
    try:
        addresses = list(_addresses(pid, port))
    except psutil.NoSuchProcess:
        return ""  # it has ended meanwhile
    except (psutil.Error, OSError):
        return None
    return addresses[0] if addresses else ""


def _addresses(pid: int, port: int) -> Iterator[str]:
    process = handle(pid)
    if process is None:
        return
    for each in (process, *process.children(recursive=True)):
        for connection in _connections(each):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                yield reachable(connection.laddr.ip)


def _connections(process: Any) -> list[Any]:
    """Return a process' TCP sockets, none of one that ended meanwhile; psutil 6 has given the method another name."""
    try:
        return list((getattr(process, "net_connections", None) or process.connections)(kind="tcp"))
    except psutil.NoSuchProcess:
        return []


def reachable(address: str) -> str:
    """Return where a client on this machine reaches what listens at an address of the system's."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_unspecified:
        return "127.0.0.1" if ip.version == 4 else "::1"
    return str(ip)
