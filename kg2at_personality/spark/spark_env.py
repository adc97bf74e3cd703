"""What the environment says about Spark: spark-env.sh, $SPARK_OPTS, and the variables with a property of their own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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

# Options of spark-submit that stand for a property (SparkSubmitArguments, SparkSubmit.prepareSubmitEnvironment).
OPTIONS = {
    "--archives": "spark.archives",
    "--deploy-mode": "spark.submit.deployMode",
    "--driver-class-path": "spark.driver.extraClassPath",
    "--driver-cores": "spark.driver.cores",
    "--driver-java-options": "spark.driver.extraJavaOptions",
    "--driver-library-path": "spark.driver.extraLibraryPath",
    "--driver-memory": "spark.driver.memory",
    "--exclude-packages": "spark.jars.excludes",
    "--executor-cores": "spark.executor.cores",
    "--executor-memory": "spark.executor.memory",
    "--files": "spark.files",
    "--jars": "spark.jars",
    "--keytab": "spark.kerberos.keytab",
    "--master": "spark.master",
    "--num-executors": "spark.executor.instances",
    "--packages": "spark.jars.packages",
    "--principal": "spark.kerberos.principal",
    "--py-files": "spark.submit.pyFiles",
    "--queue": "spark.yarn.queue",
    "--repositories": "spark.jars.repositories",
    "--total-executor-cores": "spark.cores.max",
}
# Options with an argument and no property; kg2at gives its own --class and --name.
OTHER_OPTIONS = {"--class", "--kill", "--name", "--properties-file", "--proxy-user", "--status"}

SIZE_LIMIT = 2**20  # bytes of spark-env.sh that are read for messages; the shell runs all of it
_COMMENT = re.compile(rb"\s*(?:#|$)")

# Variables of the shell's own, which say nothing about Spark and would differ at each read.
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
    """The environment after `conf_dir`/spark-env.sh, as bin/load-spark-env.sh makes it. Blocks at most `timeout` s.

    Without a script, or with SPARK_ENV_LOADED set, it is `environ` unchanged. Raises SparkConfError when the script
    doesn't parse, exits, has the line ends of Windows, or takes too long; then all its processes are killed.
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
    """The last line of `script` that assigns the variable, as far as reading it tells; None when none does."""
    pattern = re.compile(rb"\s*(?:export\s+)?" + re.escape(name.encode()) + rb"=")
    try:
        with open(script, "rb") as file:
            lines = file.read(SIZE_LIMIT).split(b"\n")
    except OSError:
        return None
    return max((number for number, line in enumerate(lines, 1) if pattern.match(line)), default=None)


def _check_line_ends(script: str) -> None:
    """Refuse a script with CR LF, whose CR the shell makes part of each value. Raises SparkConfError."""
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
    """Run the shell; its exit status. Files and no pipes: a daemon that the script starts would keep a pipe open."""
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
    """Why there is no environment: the last thing the shell said, secrets masked."""
    # Bash repeats the offending line after a syntax error, and `set -x` traces each one; both hold values.
    said = [line for line in stderr.splitlines() if line.strip() and not re.search(r"^\++ |: line \d+: `.*'$", line)]
    last = f": {Redactor(values=environ).text(said[-1])}" if said else ""
    return f"it ended the shell with status {status}{last}"


@dataclass(frozen=True)
class SparkOpts:
    """The words of $SPARK_OPTS, sorted out as spark-submit does."""

    values: Mapping[str, str]
    ignored: tuple[str, ...] = ()


@dataclass
class _Words:
    where: str
    conf: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    def take(self, word: str, rest: Iterator[str]) -> None:
        match = re.fullmatch(r"(--[^=]+)=(.+)", word)  # SparkSubmitOptionParser's eqSeparatedOpt
        option = match[1] if match else word
        if option not in OPTIONS and option not in OTHER_OPTIONS and option not in ("--conf", "-c"):
            self._ignore(option)
            return
        argument = match[2] if match else next(rest, None)
        if argument is None:
            raise SparkConfError(self.where, f"{option} lacks its argument")
        self._keep(option, argument)

    def _ignore(self, word: str) -> None:
        # A word that is no option may be the argument of an unknown one, and secret.
        what = word.partition("=")[0] if word.startswith("-") else "a word that belongs to no option"
        self.ignored.append(f"{self.where}: {what} is ignored")

    def _keep(self, option: str, argument: str) -> None:
        if option in ("--conf", "-c"):
            key, separator, value = argument.partition("=")
            if not separator:
                raise SparkConfError(self.where, f"{option} takes KEY=VALUE, and one argument has no '='")
            self.conf[key] = value
        elif option in OPTIONS:
            self.options[OPTIONS[option]] = argument
        elif option != "--name":
            self._ignore(option)


def parse_spark_opts(text: str, where: str) -> SparkOpts:
    """Split `text` as a shell does and read it as spark-submit's arguments.

    `--conf` loses to an option for the same property, in whatever order they come, as in SparkSubmitArguments. What
    spark-submit doesn't know or kg2at sets itself is left out, with a sentence in `ignored`. Raises SparkConfError
    naming `where` for unbalanced quotes, a missing argument, a --conf without '='. No error or sentence quotes a value.
    """
    try:
        words = iter(shlex.split(text))
    except ValueError as error:
        raise SparkConfError(where, f"it can't be split into words: {error}") from None
    sorted_out = _Words(where)
    for word in words:
        sorted_out.take(word, words)
    return SparkOpts({**sorted_out.conf, **sorted_out.options}, tuple(sorted_out.ignored))
