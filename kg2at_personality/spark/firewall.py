"""What a firewall between this machine, the cluster and the clients must let through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .port_table import HERE, Port


@dataclass(frozen=True)
class Opening:
    """A line for a firewall: who connects to whom, on which ports, what for. `advice`: for no fixed port."""

    source: str
    target: str
    ports: str
    purpose: str
    advice: str = ""


#: Row -> (who connects, to whom, what for).
_TRAFFIC = {
    "KernelGatewayApp": ("notebook clients", "this machine", "notebooks"),
    "Driver": ("workers", "this machine", "executors report to the driver"),
    "Block Manager": ("workers and this machine", "each other", "blocks of data"),
    "Block Manager (driver)": ("workers", "this machine", "blocks of data"),
    "Application WebUI": ("browsers", "this machine", "the page of a running application"),
    "Master": ("this machine and workers", "the master", "applications and workers register"),
    "Master WebUI": ("this machine and browsers", "the master", "kg2at counts free cores there"),
    "Worker": ("the master", "workers", "the master starts executors"),
    "Worker WebUI": ("browsers", "workers", "logs of executors"),
    "History Server WebUI": ("browsers", "the history server", "pages of past applications"),
}


def firewall(ports: Sequence[Port], loopback: bool) -> list[Opening]:
    """Return what must be let through. `loopback`: only this machine reaches the gateway. Kernels' ports are local."""
    rows = [port for port in ports if port.used and port.first is not None and port.name in _TRAFFIC]
    local = not any(port.name == "Master" and port.used for port in ports)
    inside = {"Driver", "Block Manager", "Block Manager (driver)"} if local else set()
    inside |= {"KernelGatewayApp"} if loopback else set()
    return [_opening(port) for port in rows if port.name not in inside]


def _opening(port: Port) -> Opening:
    source, target, purpose = _TRAFFIC[port.name]
    target = port.host if port.host != HERE and target == "the master" else target
    advice = "" if port.first else f"any port from 1024; set {port.how} to open one"
    return Opening(source, target, port.text if port.first else "1024-65535", purpose, advice)
