"""spark-env.sh and the environment that it makes; the variables that stand for a property."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import IO

from ..errors import SparkConfError
from ..system.time_limits import run_within
from .redaction import Redactor

SCRIPT = "spark-env.sh"

# Variables that stand for a property (SparkSubmitArguments.loadEnvironmentArguments).
VARIABLES = {
    "SPARK_EXECUTOR_CORES": "spark.executor.cores",
    "SPARK_EXECUTOR_MEMORY": "spark.executor.memory",
    "SPARK_DRIVER_MEMORY": "spark.driver.memory",
}

SIZE_LIMIT = 2**20  # bytes of spark-env.sh that are read for messages; the shell runs all of it
_COMMENT = re.compile(rb"\s*(?:#|$)")

# Variables of the shell's own, which would differ at each read.
_SHELLS_OWN = ("_", "OLDPWD", "PWD", "SHLVL")

# Runs in the shell that read spark-env.sh: writes the environment as NUL-separated bytes to the descriptor argv[1].
# Python coerces LC_CTYPE in a C locale, so argv[2] says whether the variable was set before Python ran.
_DUMP = """
import os, sys
if not sys.argv[2]: os.environ.pop("LC_CTYPE", None)
with open(int(sys.argv[1]), "wb") as file: file.write(b"\\0".join(b"=".join(item) for item in os.environb.items()))
"""

# As bin/load-spark-env.sh: `set -a` exports whatever the script assigns. The script is sourced as a plain command, so
# that its own `set -e` works. Bash goes on after a syntax error in a sourced file; `-n` tells that from a last command
# that merely failed, which Spark doesn't mind.
_LOAD = """
set -a
. {script}
[ $? = 0 ] || {shell} -n {script} || exit 1
set +a
exec {python} -I -S -c {dump} {fd} "${{LC_CTYPE+set}}"
"""


def load_spark_env(environ: Mapping[str, str], conf_dir: str, timeout: float) -> dict[str, str]:
    """Return the environment after `conf_dir`/spark-env.sh, as bin/load-spark-env.sh makes it.

    Without a script, or with SPARK_ENV_LOADED set, it is `environ` unchanged. Blocks for `timeout` seconds at most.
    Raises SparkConfError when the script doesn't parse, exits, has the line ends of Windows, or takes too long; then
    all its processes are killed.
    """
    script = os.path.abspath(os.path.join(conf_dir, SCRIPT))
    if environ.get("SPARK_ENV_LOADED") or not os.path.isfile(script):
        return dict(environ)
    _check_line_ends(script)
    with tempfile.TemporaryFile() as dump, tempfile.TemporaryFile() as errors:
        status = _run(script, {**environ, "SPARK_ENV_LOADED": "1"}, timeout, dump, errors)
        dump.seek(0)
        if not (dumped := dump.read()):
            errors.seek(0)
            raise SparkConfError(script, _complaint(status, errors.read().decode("utf-8", "replace"), environ))
    loaded = dict(os.fsdecode(item).split("=", 1) for item in dumped.split(b"\0"))
    inherited = {name: environ[name] for name in _SHELLS_OWN if name in environ}
    return {name: value for name, value in loaded.items() if name not in _SHELLS_OWN} | inherited


def assigned_at(script: str, name: str) -> int | None:
    """Return the number of the last line of `script` that assigns the variable, found by its text; None for none."""
    pattern = re.compile(rb"\s*(?:export\s+)?" + re.escape(name.encode()) + rb"=")
    try:
        with open(script, "rb") as file:
            lines = file.read(SIZE_LIMIT).split(b"\n")
    except OSError:
        return None
    return max((number for number, line in enumerate(lines, 1) if pattern.match(line)), default=None)


def _check_line_ends(script: str) -> None:
    """Raise SparkConfError for a script with CR LF: the shell makes the CR part of each value."""
    try:
        with open(script, "rb") as file:
            lines = file.read(SIZE_LIMIT).split(b"\n")
    except OSError as error:
        raise SparkConfError(script, f"it can't be read: {error.strerror}") from error
    number = next((at for at, line in enumerate(lines, 1) if line.endswith(b"\r") and not _COMMENT.match(line)), None)
    if number is not None:
        problem = "it ends with CR LF, as on Windows, and the shell would take the CR for part of the value"
        raise SparkConfError(f"{script}, line {number}", f"{problem}: run `sed -i 's/\\r$//' {shlex.quote(script)}`")


def _run(script: str, environ: Mapping[str, str], timeout: float, dump: IO[bytes], errors: IO[bytes]) -> int:
    """Run the shell and return its exit status. Raises SparkConfError when it can't be run or takes too long."""
    shell = shutil.which("bash", path=environ.get("PATH")) or "/bin/sh"
    fd = dump.fileno()
    words = {"script": script, "shell": shell, "python": sys.executable, "dump": _DUMP, "fd": str(fd)}
    command = _LOAD.format_map({name: shlex.quote(word) for name, word in words.items()})
    try:
        return run_within(timeout, [shell, "-c", command], env=environ, stderr=errors, pass_fds=[fd])
    except OSError as error:
        raise SparkConfError(script, f"{shell} can't be run: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise SparkConfError(script, f"it did not end within {timeout:g} s and was killed") from None


def _complaint(status: int, stderr: str, environ: Mapping[str, str]) -> str:
    """Return why there is no environment: the last line of the shell's errors, secrets masked."""
    # Bash repeats the offending line after a syntax error, and `set -x` traces each one; both hold values.
    said = [line for line in stderr.splitlines() if line.strip() and not re.search(r"^\++ |: line \d+: `.*'$", line)]
    last = f": {Redactor(values=environ).text(said[-1])}" if said else ""
    return f"it ended the shell with status {status}{last}"
