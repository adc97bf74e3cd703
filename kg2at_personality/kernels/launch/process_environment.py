"""The environment of a kernel's process."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from ...spark.conf_dir import conf_dir_of
from ...spark.spark_env import load_spark_env
from .plan import Plan

#: Python 3.7 and later take UTF-8 then, whatever the locale, as the JVMs do. On z/OS they read files by their tags.
PYTHON_UTF_8 = {} if sys.platform == "zos" else {"PYTHONUTF8": "1"}
#: Options for other programs than a notebook's spark-submit, or already part of its properties.
OTHERS_OPTIONS = frozenset(
    """SPARK_OPTS PYSPARK_SUBMIT_ARGS TOREE_OPTS TOREE_SPARK_OPTS __TOREE_OPTS__ __TOREE_SPARK_OPTS__
    SPARK_DAEMON_JAVA_OPTS SPARK_MASTER_OPTS SPARK_WORKER_OPTS SPARK_HISTORY_OPTS SPARK_SHUFFLE_OPTS""".split()
)


def environment(plan: Plan, env: Mapping[str, str], kernel_id: str) -> dict[str, str]:
    """Return the environment of one launch: `env` after spark-env.sh, with what spark-submit must find.

    spark-submit would run the script itself (bin/load-spark-env.sh), and what it sets for other programs would reach
    the notebook, secrets of $SPARK_OPTS included; so it runs here and SPARK_ENV_LOADED keeps spark-submit from it.
    Blocks for the script. Raises SparkConfError when that fails.
    """
    found = {
        "SPARK_HOME": plan.installation.spark.home,
        "JAVA_HOME": plan.installation.java.home,
        "KERNEL_ID": kernel_id,
    }
    if plan.options.job_name:
        found["_BPX_JOBNAME"] = plan.options.job_name
    before = {**PYTHON_UTF_8, **env, **found, "PYTHONHASHSEED": "0"}  # as spark-submit sets it: all Pythons hash alike
    if plan.conf_dir:
        before["SPARK_CONF_DIR"] = plan.conf_dir
    after = load_spark_env(before, conf_dir_of(before), plan.script_timeout)
    return {name: value for name, value in after.items() if name not in OTHERS_OPTIONS} | found
