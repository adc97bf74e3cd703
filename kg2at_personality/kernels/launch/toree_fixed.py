"""What only the start of a Toree sets."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...spark.java_options import DRIVER
from .fixed import hidden, shown, variables
from .java_options import JAVA_VARIABLES, driver_options
from .plan import Plan

#: Properties that spark-submit acts upon before it runs Toree (SparkSubmit.prepareSubmitEnvironment of Spark 3.5).
_KEYS = frozenset(
    """spark.driver.extraClassPath spark.driver.extraLibraryPath spark.driver.userClassPathFirst spark.files
    spark.archives spark.jars""".split()
)
_PREFIXES = ("spark.jars.", "spark.submit.", "spark.kerberos.", "spark.yarn.", "spark.kubernetes.", "spark.mesos.")
#: Variables that are read by the JVM's launcher, the C library, or by Java's, Hadoop's and Spark's classes once.
_NAMES = frozenset(
    """LIBPATH LANG LANGUAGE TZ PATH HOME CLASSPATH YARN_CONF_DIR HIVE_CONF_DIR SPARK_CONF_DIR
    SPARK_DIST_CLASSPATH""".split()
).union(JAVA_VARIABLES)
_NAME_PREFIXES = ("LD_", "DYLD_", "LC_", "JAVA_", "HADOOP_", "KRB5", "SPARK_LOCAL_", "_BPX", "_CEE", "_EDC")


def fixed(plan: Plan, env: Mapping[str, str], cwd: str | None) -> dict[str, str]:
    """Return what Runtime.fixed does."""
    conf, redactor = plan.conf, plan.conf.redactor()
    options = driver_options(plan)
    found = {key: value for key, value in conf.items() if key in _KEYS or key.startswith(_PREFIXES)}
    return {
        **shown(redactor, found),
        **variables(env, _NAMES, _NAME_PREFIXES),
        "spark.driver.memory": f"{conf.memory_mib('spark.driver.memory', 1024)}m",
        DRIVER: hidden(options) if redactor.is_secret(DRIVER, options) else options,
        "the kind of spark.master": conf.master.partition(":")[0].partition("[")[0],
        "the working directory": os.path.abspath(cwd or os.curdir),
        "Spark": str(plan.installation.spark),
        "Java": str(plan.installation.java),
        "Toree": repr(plan.runtime),
        "toree_options": " ".join(plan.options.toree_arguments),
        "spark_context": plan.options.spark_context,
        "niceness": str(plan.options.niceness),
        "job_name": plan.options.job_name,
        "conf_dir": plan.conf_dir,
    }
