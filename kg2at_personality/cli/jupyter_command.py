"""jupyter_core's application with kg2at's way of reading a command line.

All private names of traitlets that `cli` uses stand here. tests/test_library_contracts.py lists them.
"""

from __future__ import annotations

from typing import Any, NoReturn

from jupyter_core.application import JupyterApp
from traitlets import TraitError
from traitlets.config import Config
from traitlets.config.loader import ArgumentError, KVArgParseConfigLoader


class UsageError(Exception):
    """The command line is wrong; `str(error)` says why. Exit status 2."""


class _Parser(KVArgParseConfigLoader.parser_class):  # type: ignore[valid-type, misc]
    def error(self, message: str) -> NoReturn:
        """Raise UsageError, where argparse would print all options first. Called for an option without its value."""
        raise UsageError(f"{message}; --help tells the usage")


class _Loader(KVArgParseConfigLoader):
    """Reads the command line. Raises UsageError, also for an unknown option, of which traitlets would only warn."""

    parser_class = _Parser

    def load_config(self, *args: Any, **kwargs: Any) -> Config:
        """Called by traitlets, which would log an ArgumentError and exit with 1."""
        try:
            return super().load_config(*args, **kwargs)
        except (ArgumentError, TraitError) as error:
            raise UsageError(str(error)) from error

    def _handle_unrecognized_alias(self, arg: str) -> NoReturn:
        """Called by traitlets for an unknown option: the only hook for it."""
        raise UsageError(f"unknown option --{arg}; --help lists them")


class JupyterCommand(JupyterApp):
    """An application that raises UsageError for a wrong command line."""

    def _create_loader(self, argv: Any, aliases: Any, flags: Any, classes: Any) -> _Loader:
        """Called by traitlets, which offers no trait for the class of the loader (Application.parse_command_line)."""
        return _Loader(argv, aliases, flags, classes=classes, log=self.log, subcommands=self.subcommands)
