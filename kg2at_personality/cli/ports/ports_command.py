"""`jupyter kg2at ports`: every port, who set it, who has it, what clashes, what a firewall must let in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ...spark.firewall import firewall
from ...spark.port_clashes import clashes, mismatch, most_kernels
from ...spark.port_table import Port
from ...system.loopback import is_loopback
from ..command import OK, WRONG, Command
from ..output import print_json, print_table
from .port_states import ports_of, states

COLUMNS = {
    "component": "of",
    "name": "port",
    "effective": "effective",
    "default": "default",
    "where": "set by",
    "state": "now",
}
OPENINGS = {"source": "from", "target": "to", "ports": "ports", "purpose": "for", "advice": "note"}


class PortsApp(Command):
    """Print all ports."""

    name = "jupyter-kg2at-ports"
    description = """Every port of Spark, the kernels and the gateway.

    Which it is, its default, who set it (spark-defaults.conf, spark-env.sh, environment, argument), whether it is free
    and who has it; then what clashes, and what to open in a firewall. Exit status 1 when something clashes."""
    examples = """
    jupyter kg2at ports
    jupyter kg2at ports --json
    jupyter kg2at ports --KG2ATPersonality.kernel_ports=41000-41999 --KernelGatewayApp.port=9999
    """

    def run(self) -> int:
        """Print the ports, what clashes and what a firewall must let in. Called by Command."""
        conf = self.launcher.conf()
        ports = ports_of(self, conf)
        wrong = clashes(ports) + [sentence for sentence in [mismatch(conf, os.environ)] if sentence]
        rows = [_row(port, state) for port, state in zip(ports, states(ports), strict=True)]
        openings = [asdict(opening) for opening in firewall(ports, is_loopback(self.gateway.ip))]
        most = most_kernels(ports)
        if self.as_json:
            kernels = most[0] if most else None
            print_json({"ports": rows, "clashes": wrong, "firewall": openings, "most_kernels": kernels})
        else:
            _print(rows, wrong, openings, most)
        return WRONG if wrong else OK


def _row(port: Port, state: str) -> dict[str, Any]:
    row = {"component": port.component, "name": port.name, "effective": port.text}
    default = "random" if port.default is None else port.default
    state = state if port.used else f"{state} (not used here)"
    return row | {"default": default, "where": port.where, "state": state, "how": port.how, "used": port.used}


def _print(
    rows: Sequence[dict[str, Any]],
    wrong: Sequence[str],
    openings: Sequence[dict[str, Any]],
    most: tuple[int, Port] | None,
) -> None:
    print_table(rows, COLUMNS)
    if most:
        print(f"\nAt most {most[0]} notebooks at a time on this machine: {most[1].name} has {most[1].text}.")
    print("\nClashes:" if wrong else "\nNo clashes.")
    for sentence in wrong:
        print(f"  {sentence}")
    print("\nTo open in a firewall:" if openings else "\nNothing to open in a firewall.")
    if openings:
        print_table(openings, OPENINGS)
