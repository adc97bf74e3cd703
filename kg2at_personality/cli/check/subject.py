"""The subject of all checks: the settings, and Spark's configuration as far as it can be read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...errors import ConfigError, SparkConfError
from ...kernels.launch.launcher import Launcher
from ...spark.conf import SparkConf
from ...spark.conf_dir import conf_dir_of, with_conf_dir
from ...spark.spark_env import SCRIPT, load_spark_env
from ..command import Command

#: Seconds that spark-env.sh may run here; the whole check has to end within 3.
SCRIPT_LIMIT = 0.9
#: The same for a second run of it, after Spark's configuration turned out to be broken.
SECOND_SCRIPT_LIMIT = 0.5


@dataclass(frozen=True)
class Subject:
    """`conf` is None when Spark's configuration is broken, for the reason `problem`.

    `environ` is the environment after spark-env.sh, or as near to that as it gets; `random_device` a file.
    """

    command: Command
    launcher: Launcher
    conf: SparkConf | None
    problem: ConfigError | None
    environ: Mapping[str, str]
    random_device: str

    @property
    def conf_dir(self) -> str:
        """Return the directory in which spark-defaults.conf is, or would be; "" when none is known."""
        return conf_dir_of(self.environ)


def subject_of(command: Command, random_device: str) -> Subject:
    """Read the configuration, which runs spark-env.sh (SCRIPT_LIMIT seconds at most).

    Raises ConfigError for settings of kg2at or Kernel Gateway that are broken.
    """
    launcher = command.launcher
    limit = min(launcher.reader.env_script_timeout, SCRIPT_LIMIT)
    launcher = replace(launcher, reader=replace(launcher.reader, env_script_timeout=limit))
    try:
        conf = launcher.conf()
    except ConfigError as error:
        return Subject(command, launcher, None, error, _environ_anyway(launcher, error), random_device)
    return Subject(command, launcher, conf, None, conf.environ, random_device)


def _environ_anyway(launcher: Launcher, problem: ConfigError) -> dict[str, str]:
    """Return the environment for the other checks: after spark-env.sh, unless that is what is broken."""
    environ = with_conf_dir(os.environ, launcher.reader.spark_home, launcher.reader.conf_dir)
    conf_dir = conf_dir_of(environ)
    if not conf_dir or SCRIPT in str(problem):
        return environ
    try:
        return load_spark_env(environ, conf_dir, SECOND_SCRIPT_LIMIT)
    except SparkConfError:
        return environ
