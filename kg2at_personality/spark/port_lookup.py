"""Looks a port up in all places where Spark does.

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
    """A port that somebody gave, and who."""

    port: int
    where: str


@dataclass(frozen=True)
class PortLookup:
    """Looks a port up where Spark does."""

    conf: SparkConf
    environ: Mapping[str, str]

    def port(self, key: str = "", variable: str = "", options: str = "") -> Given | None:
        """System property `key` in a variable `options`, property `key`, or `variable`; None when it is not set."""
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
        """Whether `variable` was in the environment, or spark-env.sh set it."""
        if self.environ.get(variable) == self.conf.environ.get(variable):
            return f"environment variable {variable}"
        return f"environment variable {variable}, set in {conf_dir_of(self.conf.environ)}/{SCRIPT}"

    def parsed(self, name: str, value: str) -> int:
        try:
            return parse_port(value)
        except ValueError as error:
            raise SparkConfError(name, f"it must be {error}, not {value!r}") from None

    @property
    def retries(self) -> int:
        return self.conf.integer("spark.port.maxRetries", RETRIES)

    @property
    def standalone(self) -> bool:
        return is_standalone(self.conf.master)
