"""The base of all commands of `jupyter kg2at`: command line, configuration, exit status."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar, NoReturn

from jupyter_core.application import base_aliases as jupyter_aliases
from jupyter_core.application import base_flags as jupyter_flags
from traitlets import Bool, TraitError, default
from traitlets.config import Config
from traitlets.config.loader import ConfigFileNotFound

from .. import __version__
from ..assembly import launcher_of
from ..errors import ConfigError, KG2ATError
from ..kernels.launch.launcher import Launcher
from .gateway_settings import KernelGatewayApp, KG2ATPersonality
from .jupyter_command import JupyterCommand, UsageError
from .output import Row, print_json, print_table

OK, WRONG, USAGE = 0, 1, 2
#: The file that `jupyter kernelgateway` reads, too.
CONFIG_FILE_NAME = "jupyter_kernel_gateway_config"


class Command(JupyterCommand):
    """A subcommand: override `run`, and `name`, `description`, `examples`; set `positional` if it takes arguments.

    `run` returns the exit status: OK, or WRONG when something is wrong. KG2ATError is printed and is WRONG,
    UsageError is printed and is USAGE; a user meets no traceback. `settings` and `gateway` are what a gateway that
    is started here and now would have; add `aliases` and `flags` to copies of these.
    """

    version = __version__
    positional = 0  # how many arguments beside options `run` may find in `self.extra_args`

    as_json = Bool(False, help="Print JSON instead of a table.").tag(config=True)

    classes: ClassVar[Any] = [KG2ATPersonality, KernelGatewayApp]  # type: ignore[misc]
    aliases: ClassVar[Any] = dict(jupyter_aliases)  # type: ignore[misc]
    flags: ClassVar[Any] = {  # type: ignore[misc]
        "debug": jupyter_flags["debug"],
        "json": ({"Command": {"as_json": True}}, "Print JSON instead of a table."),
        ("y", "yes"): ({"JupyterApp": {"answer_yes": True}}, "Answer yes to any question."),
    }

    def run(self) -> int:
        """Do what the command is for, and return the exit status. Called once, when the configuration is loaded."""
        raise NotImplementedError

    # The settings.

    @cached_property
    def gateway(self) -> KernelGatewayApp:
        """Return Kernel Gateway's own settings. Raises ConfigError."""
        try:
            return KernelGatewayApp(self.config)
        except TraitError as error:
            raise ConfigError(f"Kernel Gateway's settings: {_plain(error)}") from error

    @cached_property
    def settings(self) -> KG2ATPersonality:
        """Return kg2at's settings: command line, config file, KG2AT_* variables. Raises ConfigError."""
        try:
            return KG2ATPersonality(self.config, parent=self.gateway, log=self.log)
        except TraitError as error:
            raise ConfigError(f"kg2at's settings: {_plain(error)}") from error

    @cached_property
    def launcher(self) -> Launcher:
        """Return what such a gateway would launch kernels with. Raises ConfigError."""
        return launcher_of(self.settings)

    # Output.

    def table(self, rows: Iterable[Row], columns: Mapping[str, str]) -> None:
        """Print `rows`: with --json all of their keys, else those of `columns` (key -> heading)."""
        if self.as_json:
            print_json([dict(row) for row in rows])
        else:
            print_table(rows, columns)

    def confirm(self, question: str) -> bool:
        """Return whether the user says yes to `question`; with --yes always, and never where nobody can answer."""
        if self.answer_yes:
            return True
        if not sys.stdin.isatty():
            print(f"{question} Nobody is there to answer; say --yes.", file=sys.stderr)
            return False
        try:
            return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            return False

    # What JupyterApp calls.

    @default("config_file_name")
    def _default_config_file_name(self) -> str:
        return CONFIG_FILE_NAME

    @default("log_level")
    def _default_log_level(self) -> int:
        return 30  # WARNING: what a command says is its output

    def update_config(self, config: Config) -> None:
        """Apply options, or what a configuration file says, to the traits of this command.

        Called by traitlets, which logs a TraitError and exits with 1. Raises UsageError or ConfigError instead.
        """
        try:
            super().update_config(config)
        except TraitError as error:
            wrong = UsageError if config is self.cli_config else ConfigError
            raise wrong(_plain(error)) from error

    def load_config_file(self, suppress_errors: bool = True) -> None:  # type: ignore[override]
        """Load the files that the gateway would load. Raises ConfigError for a broken one, and a missing --config."""
        if self.config_file and not os.path.exists(self.config_file):
            raise ConfigError(f"--config: there is no file {self.config_file}")
        if self.config_file and not self.config_file.endswith((".py", ".json")):  # traitlets would look for another
            raise ConfigError(
                f"--config: {self.config_file} is passed over, since its name ends in neither .py nor .json"
            )
        self.raise_config_file_errors = True
        try:
            super().load_config_file(suppress_errors=False)
        except ConfigFileNotFound as error:
            raise ConfigError(f"--config: {error}") from error
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"The configuration file can't be read: {type(error).__name__}: {error}") from error

    def start(self) -> None:
        """Run, and exit with the status. Called by JupyterApp."""
        super().start()
        if len(self.extra_args) > self.positional:
            raise UsageError(f"{self.extra_args[self.positional]!r} is one argument too many; --help tells the usage")
        status = self.run()
        sys.stdout.flush()  # a reader that went away is noticed here
        self.exit(status)


def exit_with_sentence(name: str, action: Callable[[], None]) -> None:
    """Do `action`; an error that a user can cause is printed as a sentence, and ends the program with its status."""
    try:
        action()
    except UsageError as error:
        _end(name, str(error), USAGE)
    except KG2ATError as error:
        _end(name, str(error), WRONG)
    except TraitError as error:
        _end(name, _plain(error), WRONG)
    except KeyboardInterrupt:
        _end(name, "interrupted", 130)
    except BrokenPipeError:
        # Whoever read has read enough; what is left in the buffer must not raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(WRONG)


def _plain(error: TraitError) -> str:
    """Return what traitlets says of a wrong value, with the setting as one writes it."""
    return re.sub(r"[Tt]he (?:value of the )?'(\w+)' trait of an? (\w+) instance", r"\2.\1", str(error), count=1)


def _end(name: str, text: str, status: int) -> NoReturn:
    print(f"{name}: {text}", file=sys.stderr)
    sys.exit(status)
