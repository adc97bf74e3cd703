"""The directory of Spark's configuration files."""

from __future__ import annotations

import os
from collections.abc import Mapping


def conf_dir_of(environ: Mapping[str, str]) -> str:
    """Return $SPARK_CONF_DIR, else conf in $SPARK_HOME (`Utils.getDefaultPropertiesFile`); "" when neither is set.

    An empty variable counts as unset. The directory need not exist.
    """
    home = environ.get("SPARK_HOME")
    return environ.get("SPARK_CONF_DIR") or (os.path.join(home, "conf") if home else "")


def with_conf_dir(environ: Mapping[str, str], spark_home: str | None, conf_dir: str | None) -> dict[str, str]:
    """Return `environ` with SPARK_HOME and SPARK_CONF_DIR as spark-env.sh expects them (bin/load-spark-env.sh).

    `spark_home` is for an environment without SPARK_HOME; `conf_dir` wins over SPARK_CONF_DIR. None or "": not given.
    """
    completed = dict(environ)
    if not completed.get("SPARK_HOME") and spark_home:
        completed["SPARK_HOME"] = spark_home
    if found := conf_dir or conf_dir_of(completed):
        completed["SPARK_CONF_DIR"] = found
    return completed
