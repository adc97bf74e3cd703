"""The origin of a setting of the gateway: where its value was set."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from jupyter_core.application import JupyterApp


def origin(app: JupyterApp, section: str, name: str, variable: str) -> str:
    """Return where `section`.`name` was set: argument, file and line, environment `variable`, or default."""
    if name in app.cli_config.get(section, {}):
        return f"argument --{section}.{name}"
    if name in app.config.get(section, {}):
        return _in_files(app.loaded_config_files, section, name)
    if variable in os.environ:
        return f"environment variable {variable}"
    return "default"


def _in_files(files: Iterable[str], section: str, name: str) -> str:
    """Return the last line that assigns it, looking into the file first that was loaded last.

    A file may set it in ways that no search finds: then the file alone, if there is only one.
    """
    paths = list(reversed(list(files)))
    for path in paths:
        lines = Path(path).read_text(errors="replace").splitlines()
        found = [number for number, line in enumerate(lines, 1) if re.match(rf"\s*c\.{section}\.{name}\b", line)]
        if found:
            return f"{path}, line {found[-1]}"
    return paths[0] if len(paths) == 1 else "the configuration file"
