"""`jupyter kg2at` itself: the list of subcommands, and --generate-config."""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar

from ..errors import ConfigError, KG2ATError
from .command import USAGE, Command, exit_with_sentence
from .config_template import write_template
from .jupyter_command import UsageError

PACKAGE = "kg2at_personality.cli"


class KG2ATApp(Command):
    """Look after a Jupyter Kernel Gateway that serves Spark."""

    name = "jupyter-kg2at"
    description = "Look after a Jupyter Kernel Gateway that serves Spark notebooks (kg2at)."
    subcommands: ClassVar[Any] = {  # type: ignore[misc]
        "check": (f"{PACKAGE}.check.check_command.CheckApp", "Is this machine ready for the first notebook?"),
        "config": (f"{PACKAGE}.config_command.ConfigApp", "Spark's configuration as a kernel will see it."),
        "ports": (f"{PACKAGE}.ports.ports_command.PortsApp", "Every port, who set it and who has it."),
        "status": (
            f"{PACKAGE}.status_command.StatusApp",
            "What a running gateway does; `status stop ID` ends a kernel.",
        ),
        "warm": (f"{PACKAGE}.warm_command.WarmApp", "Which kernels wait started for users, and who got none."),
        "users": (f"{PACKAGE}.users_command.UsersApp", "Who may use the gateway: add, remove, rotate."),
        "setup": (f"{PACKAGE}.setup.setup_command.SetupApp", "Install kg2at and Toree, with or without a network."),
        "cluster": (f"{PACKAGE}.cluster_command.ClusterApp", "Run a Spark standalone cluster on this machine."),
    }

    positional = 1

    flags: ClassVar[Any] = Command.flags | {  # type: ignore[misc]
        "generate-config": (
            {"JupyterApp": {"generate_config": True}},
            "Write a configuration file with every setting of kg2at, for the gateway to read (at --config, if given).",
        ),
    }

    def write_default_config(self) -> None:
        """Write it, after a question if it exists. Called by JupyterApp for --generate-config. Raises KG2ATError."""
        path = self.config_file or os.path.join(self.config_dir, f"{self.config_file_name}.py")
        if os.path.exists(path) and not self.confirm(f"{path} exists. Replace it?"):
            raise KG2ATError(f"{path} is left as it was.")
        try:
            write_template(path)
        except OSError as error:
            raise ConfigError(f"{path} can't be written: {error.strerror}") from error
        print(f"Written: {path}")

    def run(self) -> int:
        """Print the help. Called when no subcommand was named. Raises UsageError for one that does not exist."""
        if self.extra_args:
            known = self.extra_args[0] in self.subcommands
            hint = "options go behind the subcommand" if known else "--help lists them"
            raise UsageError(f"there is no subcommand {self.extra_args[0]!r} here; {hint}")
        self.print_help()
        return USAGE


def main(argv: list[str] | None = None) -> None:
    """Run `jupyter kg2at` with `argv` (default: sys.argv). The console script."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    exit_with_sentence(KG2ATApp.name, lambda: KG2ATApp.launch_instance(argv))
