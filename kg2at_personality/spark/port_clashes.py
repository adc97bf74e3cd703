"""Ports that are set to the same number, and how many kernels the ports are enough for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from .conf import SparkConf
from .master_url import standalone_addresses
from .port_lookup import PortLookup
from .port_table import HERE, Port


def clashes(ports: Sequence[Port]) -> list[str]:
    """Return a sentence for each two services on the same machine that can't both have their port."""
    fixed = [port for port in ports if port.used and port.first and _counts(port)]
    pairs = [(one, other) for one, other in combinations(fixed, 2) if one.host == other.host]
    return [_clash(one, other) for one, other in pairs if _meet(one, other)]


def most_kernels(ports: Sequence[Port]) -> tuple[int, Port] | None:
    """Return how many kernels this machine can have at a time, and the row that bounds them; None: no row does."""
    bounds = [(port.last - port.first + 1, port) for port in ports if port.drivers and port.first]
    bounds += [
        ((port.last - port.first + 1) // 5, port)
        for port in ports
        if port.component == "Kernel" and port.name == "shell_port" and port.first
    ]
    return min(bounds, key=lambda bound: bound[0], default=None)


def mismatch(conf: SparkConf, environ: Mapping[str, str]) -> str | None:
    """Return a sentence when SPARK_MASTER_PORT is not the port in `spark.master`, else None."""
    spark = PortLookup(conf, environ)
    given = spark.port(variable="SPARK_MASTER_PORT")
    if not spark.standalone or not given or given.port in (port for _, port in standalone_addresses(conf.master)):
        return None
    where = conf.entry("spark.master").where
    return f"SPARK_MASTER_PORT is {given.port} ({given.where}), but spark.master is {conf.master} ({where})"


def _counts(port: Port) -> bool:
    """Tell whether the row is compared: of a kernel's five, which share a range, only one is."""
    return port.component != "Kernel" or port.name == "shell_port"


def _meet(one: Port, other: Port) -> bool:
    """Tell whether two rows want the same port. Two services of a driver move on unless both start there."""
    if one.drivers and other.drivers:
        return one.first == other.first
    return (one.first or 0) <= other.last and (other.first or 0) <= one.last


def _clash(one: Port, other: Port) -> str:
    machine = "" if one.host == HERE else f" on {one.host}"
    remedy = f"change {one.how} or {other.how}"
    return f"{one.name} ({one.text}) and {other.name} ({other.text}) want the same port{machine}: {remedy}"
