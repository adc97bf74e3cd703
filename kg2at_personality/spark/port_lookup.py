"""The port that Spark takes for a service, from all the places where Spark looks.

The rules are those of Spark 2.0 to 3.5: MasterArguments, WorkerArguments and HistoryServer let a property win over a
variable, and a system property in SPARK_*_OPTS over both (SparkClassCommandBuilder, SparkConf).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import SparkConfError
from .conf import SparkConf
from .conf_dir import conf_dir_of
from .master_url import is_standalone
from .spark_env import SCRIPT
from .values import port as parse_port

RETRIES = 16  # Utils.portMaxRetries


@dataclass(frozen=True)
class Given:
    """A port that is set, and by what: the words of a message."""

    port: int
    where: str


@dataclass(frozen=True)
class PortLookup:
    """Finds ports in `conf`; `environ` is the environment before spark-env.sh."""

    conf: SparkConf
    environ: Mapping[str, str]

    def port(self, key: str = "", variable: str = "", options: str = "") -> Given | None:
        """Return the port set by system property `key` in the variable `options`, property `key`, or `variable`.

        None when none of them is set. Raises SparkConfError for what is no port.
        """
        given = self._option(key, options) if options else None
        if given is None and key in self.conf:
            given = Given(self.parsed(key, self.conf[key]), self.conf.entry(key).where)
        if given is None and self.conf.environ.get(variable):
            given = Given(self.parsed(variable, self.conf.environ[variable]), self.origin(variable))
        return given

    def _option(self, key: str, options: str) -> Given | None:
        for variable in (options, "SPARK_DAEMON_JAVA_OPTS"):
            found = re.findall(rf"(?<!\S)-D{re.escape(key)}=(\S+)", self._words(variable)) if key else []
            if found:
                return Given(self.parsed(variable, found[-1]), self.origin(variable))
        return None

    def _words(self, variable: str) -> str:
        try:
            return " ".join(shlex.split(self.conf.environ.get(variable, "")))
        except ValueError:
            return ""

    def origin(self, variable: str) -> str:
        """Return how a message names the variable, with spark-env.sh if that set it."""
        if self.environ.get(variable) == self.conf.environ.get(variable):
            return f"environment variable {variable}"
        return f"environment variable {variable}, set in {conf_dir_of(self.conf.environ)}/{SCRIPT}"

    def parsed(self, name: str, value: str) -> int:
        """Return the port in `value`. Raises SparkConfError, in which it is called `name`."""
        try:
            return parse_port(value)
        except ValueError as error:
            raise SparkConfError(name, f"it must be {error}, not {value!r}") from None

    @property
    def retries(self) -> int:
        """How many more ports a driver tries, one after the other, when its own is in use."""
        return self.conf.integer("spark.port.maxRetries", RETRIES)

    @property
    def standalone(self) -> bool:
        """Whether `spark.master` names standalone masters."""
        return is_standalone(self.conf.master)
