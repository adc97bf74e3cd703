""".kg2at_conf, the file that a shell sources after `jupyter kg2at setup`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping

CONF = ".kg2at_conf"
WANTED = {
    "SPARK_HOME": "where Spark is",
    "SPARK_LOCAL_IP": "the address of this machine that Spark and the gateway listen on",
    "SPARK_MASTER_PORT": "the port of the Spark master, 7077 as a rule",
}
ENCODING = "cp1047" if sys.platform == "zos" else "utf-8"  # what the shell there reads


def read_conf(path: str) -> str:
    """Return the content of the file; "" for one that is in another encoding. Raises OSError."""
    try:
        with open(path, encoding=ENCODING) as file:
            return file.read()
    except ValueError:
        return ""


def conf_text(venv: str, values: Mapping[str, str], force: bool = False) -> str:
    """Return a POSIX shell script to source, as often as one likes: what is set before stays, unless `force`."""
    lines = [
        "# Written by `jupyter kg2at setup`. Source it: . .kg2at_conf",
        f"VIRTUAL_ENV={shlex.quote(venv)}",
        "export VIRTUAL_ENV",
        'case ":${PATH-}:" in',
        '  *":$VIRTUAL_ENV/bin:"*) ;;',
        '  *) PATH="$VIRTUAL_ENV/bin${PATH:+:$PATH}"; export PATH ;;',
        "esac",
        "unset PYTHONHOME",
    ]
    for name, value in values.items():
        test = "" if force and name in ("SPARK_HOME", "JAVA_HOME") else f'[ -n "${{{name}-}}" ] || '
        lines += [f"{test}{name}={shlex.quote(value)}", f"export {name}"]
    for name, meaning in WANTED.items():
        if name not in values:
            lines += [f"# {meaning}:", f"# {name}=", f"# export {name}"]
            lines += [f'[ -n "${{{name}-}}" ] || echo "kg2at: {name} is not set" >&2']
    return "\n".join([*lines, ""])
