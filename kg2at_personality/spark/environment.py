"""What the environment says about Spark: spark-env.sh, $SPARK_OPTS, and the variables with a property of their own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO

from ..errors import SparkConfError
from .redaction import Redactor
from .setting import Setting, port

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
    doesn't parse, exits, or takes too long; then all its processes are killed.
    """
    script = os.path.abspath(os.path.join(conf_dir, SCRIPT))
    if environ.get("SPARK_ENV_LOADED") or not os.path.isfile(script):
        return dict(environ)
    with tempfile.TemporaryFile() as dump, tempfile.TemporaryFile() as errors:
        status = _run(script, {**environ, "SPARK_ENV_LOADED": "1"}, timeout, dump, errors)
        dump.seek(0)
        if not (dumped := dump.read()):
            errors.seek(0)
            raise SparkConfError(script, _complaint(status, errors.read().decode("utf-8", "replace"), environ))
    loaded = dict(os.fsdecode(item).split("=", 1) for item in dumped.split(b"\0"))
    inherited = {name: environ[name] for name in _SHELLS_OWN if name in environ}
    return {name: value for name, value in loaded.items() if name not in _SHELLS_OWN} | inherited


def _run(script: str, environ: Mapping[str, str], timeout: float, dump: IO[bytes], errors: IO[bytes]) -> int:
    """Run the shell; its exit status. Files and no pipes: a daemon that the script starts would keep a pipe open."""
    shell = shutil.which("bash", path=environ.get("PATH")) or "/bin/sh"
    fd = dump.fileno()
    words = {"script": script, "shell": shell, "python": sys.executable, "dump": _DUMP, "fd": str(fd)}
    command = _LOAD.format_map({name: shlex.quote(word) for name, word in words.items()})
    try:
        process = subprocess.Popen(
            [shell, "-c", command],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[fd],
            start_new_session=True,
        )
    except OSError as error:
        raise SparkConfError(script, f"{shell} can't be run: {error.strerror}") from error
    return _waited(process, script, timeout)


def _waited(process: subprocess.Popen[bytes], script: str, timeout: float) -> int:
    try:
        return process.wait(timeout)
    except BaseException as error:
        # The shell leads its own process group, which holds whatever it waits for.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
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


def master_from(environ: Mapping[str, str]) -> Setting:
    """`spark.master` when no source sets it: the standalone master that the environment describes, else `local[*]`.

    SPARK_LOCAL_IP is the address of this machine and the master's only together with SPARK_MASTER_PORT. Raises
    SparkConfError for a port without any host, or for one that isn't a number.
    """
    number = environ.get("SPARK_MASTER_PORT")
    names = ["SPARK_MASTER_HOST", "SPARK_LOCAL_IP"] if number else ["SPARK_MASTER_HOST"]
    host = next((name for name in names if environ.get(name)), None)
    if host is None and number:
        problem = "it names a port and no host: set SPARK_MASTER_HOST as well, or spark.master"
        raise SparkConfError("environment variable SPARK_MASTER_PORT", problem)
    if host is None:
        return Setting("spark.master", "local[*]", "kg2at's default")
    source = f"{host} and SPARK_MASTER_PORT" if number else host
    return Setting("spark.master", f"spark://{environ[host]}:{_master_port(number or '7077')}", source)


def _master_port(number: str) -> int:
    try:
        return port(number)
    except ValueError:
        # Kubernetes and Docker links set SPARK_MASTER_PORT=tcp://... for a service called spark-master.
        problem = "it must be a port number (Kubernetes sets a URL for a service called spark-master; set spark.master)"
        raise SparkConfError("environment variable SPARK_MASTER_PORT", problem) from None
