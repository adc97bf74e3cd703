"""`jupyter kg2at` itself: it finds the subcommand, and writes the configuration file."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from .command import USAGE, Command, UsageError, guarded

PACKAGE = "kg2at_personality.cli"


class KG2ATApp(Command):
    """Look after a Jupyter Kernel Gateway that serves Spark."""

    name = "jupyter-kg2at"
    description = "Look after a Jupyter Kernel Gateway that serves Spark notebooks (kg2at)."
    subcommands: ClassVar[Any] = {  # type: ignore[misc]
        "check": (f"{PACKAGE}.check.CheckApp", "Is this machine ready for the first notebook?"),
        "config": (f"{PACKAGE}.config.ConfigApp", "Spark's configuration as a kernel will see it."),
        "ports": (f"{PACKAGE}.ports.PortsApp", "Every port, who set it and who has it."),
        "status": (f"{PACKAGE}.status.StatusApp", "What a running gateway does; `status stop ID` ends a kernel."),
        "setup": (f"{PACKAGE}.setup.SetupApp", "Install kg2at and Toree, with or without a network."),
        "cluster": (f"{PACKAGE}.cluster.ClusterApp", "Run a Spark standalone cluster on this machine."),
    }

    positional = 1

    def run(self) -> int:
        """Called when no subcommand was named."""
        if self.extra_args:
            raise UsageError(f"there is no subcommand {self.extra_args[0]!r}; --help lists them")
        self.print_help()
        return USAGE


def main(argv: list[str] | None = None) -> None:
    """The console script."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    guarded(KG2ATApp.name, KG2ATApp.launch_instance, argv)
