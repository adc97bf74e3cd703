"""What only the start of a Toree sets. Other properties are read when its context is made, other variables later."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...spark.java_options import DRIVER
from .fixed import hidden, options_of, shown, variables
from .java_options import JAVA_VARIABLES, driver_options
from .plan import Plan

#: Properties for the JVM's command line (SparkSubmitCommandBuilder), and those that spark-submit acts upon before it
#: runs Toree (SparkSubmit.prepareSubmitEnvironment of Spark 3.5): it fetches jars and files, puts them on the class
#: path and beside Toree's own, logs in. Toree makes a directory for the classes of its cells (its class Main), by which
#: Spark chooses the local ones for good (Utils.getOrCreateLocalRootDirs).
#: The last five are what the session that warms it sets for the whole JVM (CodeGenerator, BroadcastExchangeExec,
#: SubqueryExec, NettyUtils).
_KEYS = frozenset(
    """spark.driver.extraClassPath spark.driver.extraLibraryPath spark.driver.userClassPathFirst spark.jars spark.files
    spark.archives spark.local.dir spark.sql.codegen.cache.maxEntries spark.sql.broadcastExchange.maxThreadThreshold
    spark.sql.subquery.maxThreadThreshold spark.network.sharedByteBufAllocators.enabled
    spark.network.io.preferDirectBufs""".split()
)
_PREFIXES = tuple(f"spark.{name}." for name in "jars submit kerberos yarn kubernetes mesos repl hadoop.hadoop".split())
#: Variables that the JVM's launcher, the C library, or classes of Java, Hadoop and Spark read at the start.
_NAMES = frozenset(
    """PATH HOME LANG LANGUAGE TZ JAVA_HOME LIBPATH CLASSPATH YARN_CONF_DIR HIVE_CONF_DIR SPARK_CONF_DIR SPARK_CLASSPATH
    SPARK_DIST_CLASSPATH SPARK_EXECUTOR_URI""".split()
).union(JAVA_VARIABLES)
_NAME_PREFIXES = ("LD_", "DYLD_", "LC_", "MALLOC_", "HADOOP_", "KRB5", "SPARK_LOCAL_", "_BPX", "_CEE", "_EDC")


def fixed(plan: Plan, env: Mapping[str, str], cwd: str | None) -> dict[str, str]:
    """Return what Runtime.fixed does."""
    conf, redactor, options = plan.conf, plan.conf.redactor(), driver_options(plan)
    found = {key: value for key, value in conf.items() if key in _KEYS or key.startswith(_PREFIXES)}
    return {
        **shown(redactor, found),
        **variables(env, _NAMES, _NAME_PREFIXES),
        "spark.driver.memory": f"{conf.memory_mib('spark.driver.memory', 1024)}m",
        DRIVER: hidden(options) if redactor.is_secret(DRIVER, options) else options,
        "the kind of spark.master": conf.master.partition(":")[0].partition("[")[0],
        "Spark": repr(plan.installation.spark),
        "Java": repr(plan.installation.java),
        "Toree": repr(plan.runtime),
        **options_of(plan),
        "working directory": cwd or os.curdir,
    }
