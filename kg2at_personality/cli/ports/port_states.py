"""The ports of this machine's gateway and Spark, and their states: free, taken, answering."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ...assembly import port_range_of
from ...spark.conf import SparkConf
from ...spark.port_lookup import Given
from ...spark.port_table import HERE, Port, table
from ...system.own_hosts import hosts_here
from ..command import Command
from ..setting_origin import origin
from .sockets import answering, taken_by


def ports_of(command: Command, conf: SparkConf) -> list[Port]:
    """Return the rows for the settings of `command`. Blocks up to 1 s for the masters' names. Raises ConfigError."""
    toree: list[Given] = []
    if bounds := port_range_of(command.settings):
        where = origin(command, "KG2ATPersonality", "kernel_ports", "KG2AT_KERNEL_PORTS")
        toree = [Given(bounds.first, where), Given(bounds.last, where)]
    gateway = Given(command.gateway.port, origin(command, "KernelGatewayApp", "port", "KG_PORT"))
    return table(conf, os.environ, toree, gateway, hosts_here(conf.master_hosts))


def states(ports: Sequence[Port]) -> list[str]:
    """Return the state of each port: free or taken and by whom here, answering or not elsewhere. Blocks 1 s or so."""
    elsewhere = {(port.host, port.first) for port in ports if port.first and port.host not in (HERE, "workers")}
    answers = answering(elsewhere)
    return [_state(port, answers) for port in ports]


def _state(port: Port, answers: Mapping[tuple[str, int], bool]) -> str:
    if not port.first:
        return "off" if port.first is None else "any free one"
    if port.host == "workers":
        return "not asked"
    if port.host != HERE:
        return f"{port.host} {'answers' if answers[port.host, port.first] else 'does not answer'}"
    return _state_here(range(port.first, port.last + 1))


def _state_here(ports: range) -> str:
    taken = {port: by for port in ports if (by := taken_by(port))}
    if not taken:
        return "free"
    first, by = next(iter(taken.items()))
    return f"taken by {by}" if len(ports) == 1 else f"{len(ports) - len(taken)} of {len(ports)} free; {first}: {by}"


def free_of(port: Port) -> list[int]:
    """Return those of its ports that are free on this machine."""
    return [each for each in range(port.first or 0, port.last + 1) if each and taken_by(each) is None]
