"""Checks where the gateway listens, who may use it, and whether the ports are free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ... import users_file
from ...errors import ConfigError
from ...plural import counted
from ...spark.port_clashes import clashes, most_kernels
from ...spark.port_table import HERE, Port
from ...system.loopback import is_loopback
from ...system.own_hosts import is_here
from ..ports.port_states import free_of, ports_of, states
from .finding import Finding, error, ok, warning, with_advice
from .subject import Subject

FREE = "free"


def address(subject: Subject) -> Iterator[Finding]:
    """Check the address that the gateway listens on against its token and its certificate."""
    check, gateway, settings = "address", subject.command.gateway, subject.command.settings
    ip = gateway.ip or "all addresses"
    if gateway.ip and not _exists(gateway.ip):
        yield error(check, f"{ip} is no address of this machine", "set KernelGatewayApp.ip (KG_IP)")
    elif gateway.ip and is_loopback(gateway.ip):
        yield ok(check, f"{ip}: only this machine reaches the gateway")
    elif settings.allow_unauthenticated and not (gateway.auth_token or settings.users_file):
        said = f"{ip} without a token: whoever reaches the port runs code as you"
        yield error(check, said, "set KG_AUTH_TOKEN, and don't set allow_unauthenticated")
    elif not gateway.certfile:
        has_token = gateway.auth_token or settings.users_file
        token = "the token" if has_token else "the token that the gateway will make"
        yield warning(check, f"{ip} without https: {token} can be read on its way", "set KernelGatewayApp.certfile")
    else:
        yield ok(check, f"{ip}, with https and a token")


def users(subject: Subject) -> Iterator[Finding]:
    """Check the file of users, where there is to be one."""
    path = subject.command.settings.users_file
    if not path:
        return
    try:
        yield ok("users", f"{counted(len(users_file.read(path)), 'user')} in {path}")
    except ConfigError as problem:
        said, advice = with_advice(str(problem))
        yield error("users", said, advice or "mend it")


def _exists(ip: str) -> bool:
    try:
        return ip == "*" or is_here(ip)
    except OSError:
        return False


def ports(subject: Subject) -> Iterator[Finding]:
    """Check that the ports which have to be free are, and that none clash."""
    if subject.conf is None:
        yield warning("ports", "not looked at: Spark's configuration is broken", "mend that first")
        return
    try:
        rows = ports_of(subject.command, subject.conf)
    except ConfigError as problem:
        yield error("ports", str(problem), "mend it")
        return
    found = [error("ports", sentence, "give them different ports") for sentence in clashes(rows)]
    found += [*_gateway(subject, rows), *_kernels(rows)]
    yield from found or [_fine(rows)]


def _fine(rows: Sequence[Port]) -> Finding:
    most = most_kernels(rows)
    bound = f"; at most {most[0]} notebooks at a time ({most[1].name} {most[1].text})" if most else ""
    return ok("ports", f"{rows[-1].text} is free for the gateway{bound}")


def _gateway(subject: Subject, rows: Sequence[Port]) -> Iterator[Finding]:
    row = rows[-1]
    if (state := states([row])[0]) in (FREE, "any free one"):
        return
    said, remedy = f"the gateway's port {row.first} is {state}", "end that, or set KernelGatewayApp.port (KG_PORT)"
    if subject.command.gateway.port_retries:
        yield warning("ports", f"{said}; the gateway would take another", remedy)
    else:
        yield error("ports", said, remedy)


def _kernels(rows: Sequence[Port]) -> Iterator[Finding]:
    """Check that a kernel finds its ports: one of each of Spark's rows, five of Toree's range."""
    toree = [row for row in rows if row.name == "shell_port"]
    spark = [row for row in rows if row.component == "Spark" and row.drivers and row.host == HERE]
    for row, needed in [*((row, 1) for row in spark), *((row, 5) for row in toree)]:
        if row.first and len(free_of(row)) < needed:
            yield error("ports", f"no port is free for a kernel: {row.name} {row.text}", f"set {row.how} to others")
