"""$SPARK_OPTS: the arguments of spark-submit that a user of Toree sets for all kernels."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import SparkConfError

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


@dataclass(frozen=True)
class SparkOpts:
    """The properties that $SPARK_OPTS sets, and a sentence for each word that is ignored."""

    values: Mapping[str, str]
    ignored: tuple[str, ...] = ()


@dataclass
class _Words:
    """The words taken so far, by what spark-submit does with them; `where` is how errors name the variable."""

    where: str
    conf: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    def take(self, word: str, rest: Iterator[str]) -> None:
        """Take an option, with its argument from `rest`. Raises SparkConfError."""
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
    spark-submit doesn't know or kg2at sets itself is ignored, with a sentence. Raises SparkConfError
    naming `where` for unbalanced quotes, a missing argument, a --conf without '='. No error or sentence quotes a value.
    """
    try:
        words = iter(shlex.split(text))
    except ValueError as error:
        raise SparkConfError(where, f"it can't be split into words: {error}") from None
    taken = _Words(where)
    for word in words:
        taken.take(word, words)
    return SparkOpts({**taken.conf, **taken.options}, tuple(taken.ignored))
