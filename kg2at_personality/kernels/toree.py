"""How a Toree kernel is launched: its plan, its command, its properties, its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..admission.request import SOURCE as REQUEST
from ..admission.request import RequestBounds, executors_of, requested_properties
from ..errors import SparkConfError
from ..spark.cluster import ExecutorRequest
from ..spark.conf import SparkConf, SparkConfReader
from ..spark.conf_dir import conf_dir_of
from ..spark.conflicts import check_together
from ..spark.idle_cores import IdleCores
from ..spark.installation import Installation
from ..spark.installation_finder import InstallationFinder
from ..spark.java_options import DRIVER, DRIVER_DEFAULT, EXECUTOR, EXECUTOR_DEFAULT, UTF_8, split
from ..spark.master_url import is_standalone
from ..spark.properties import trimmed
from ..spark.spark_env import load_spark_env
from . import toree_interrupt

#: Toree finds its magics by opening jar files, which Java 9 and later forbid unless told otherwise.
ADD_OPENS = "--add-opens=java.base/java.util.jar=ALL-UNNAMED"
#: Python 3.7 and later take UTF-8 then, whatever the locale, as the JVMs do. On z/OS they read files by their tags.
PYTHON_UTF_8 = {} if sys.platform == "zos" else {"PYTHONUTF8": "1"}
#: Options for other programs than a notebook's spark-submit, or already part of its properties.
OTHERS_OPTIONS = frozenset(
    """SPARK_OPTS PYSPARK_SUBMIT_ARGS TOREE_OPTS TOREE_SPARK_OPTS __TOREE_OPTS__ __TOREE_SPARK_OPTS__
    SPARK_DAEMON_JAVA_OPTS SPARK_MASTER_OPTS SPARK_WORKER_OPTS SPARK_HISTORY_OPTS SPARK_SHUFFLE_OPTS""".split()
)
#: Java options of spark-submit, of old a way to give properties (-Dspark.x=y).
SUBMIT_OPTIONS = "SPARK_SUBMIT_OPTS"
#: What else a JVM, or Spark's launcher of one, reads options from.
JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "IBM_JAVA_OPTIONS", "SPARK_SUBMIT_OPTS")
#: Spark hands them to a JVM as they are, or takes a bare number for bytes (Utils.memoryStringToMb).
JVM_SIZES = ("spark.executor.memory", "spark.driver.memory")


@dataclass(frozen=True)
class ToreeOptions:
    """How every Toree of this gateway is started.

    `spark_context` is lazy, eager or none; `arguments` go to Toree as they are; `niceness` is added to the process's
    (0 leaves it); `job_name` is z/OS' `_BPX_JOBNAME` ("" leaves it).
    """

    spark_context: str = "lazy"
    arguments: tuple[str, ...] = ()
    niceness: int = 0
    job_name: str = ""


@dataclass(frozen=True)
class Plan:
    """One launch, resolved: which Spark, with which configuration, for which kernel."""

    conf: SparkConf
    installation: Installation
    interpreter: str
    options: ToreeOptions
    conf_dir: str = ""
    #: Seconds that spark-env.sh may run.
    script_timeout: float = 10.0

    @property
    def executors(self) -> ExecutorRequest | None:
        """Return what its application will ask the cluster for; None when it uses no cluster."""
        return executors_of(self.conf) if self.options.spark_context != "none" else None


@dataclass(frozen=True)
class ToreeLauncher:
    """Resolves plans from the files and the environment as they are now."""

    reader: SparkConfReader = field(default_factory=SparkConfReader)
    finder: InstallationFinder = field(default_factory=InstallationFinder)
    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    options: ToreeOptions = field(default_factory=ToreeOptions)
    bounds: RequestBounds = field(default_factory=RequestBounds)
    idle_cores: IdleCores = field(default_factory=IdleCores)

    def conf(self, profile: str = "", env: Mapping[str, str] | None = None) -> SparkConf:
        """Return Spark's configuration for `profile` ("" for none) and a client's `env`. Blocking: reads files.

        Raises SparkConfError for a broken file or value and RequestError for a bad request.
        """
        conf = self.reader.read(os.environ)
        if profile:
            conf = conf.overlay(f"profile {profile}", self.profiles[profile])
        conf = conf.overlay(REQUEST, requested_properties(env or {}, self.bounds))
        check_together(conf)
        return _with_cores(conf)

    def plan(self, interpreter: str, profile: str = "", env: Mapping[str, str] | None = None) -> Plan:
        """Return all that one launch needs. Blocking. Raises ConfigError and RequestError."""
        conf = self.conf(profile, env)
        found, reader = self.finder.find(conf.environ), self.reader
        if self.options.spark_context != "none":
            conf = self.idle_cores.applied(conf, found.spark.version)
        return Plan(conf, found, interpreter, self.options, reader.conf_dir or "", reader.env_script_timeout)


def _with_cores(conf: SparkConf) -> SparkConf:
    """Cap an uncapped application on a standalone master, which would take every core (Spark's spark.cores.max)."""
    if not is_standalone(conf.master) or "spark.cores.max" in conf:
        return conf
    if conf.boolean("spark.dynamicAllocation.enabled", False):
        return conf
    cores = conf.get("spark.executor.cores", "1")
    return conf.overlay("kg2at's default", {"spark.cores.max": cores})


def command(plan: Plan, connection_file: str, properties_file: str) -> list[str]:
    """Return the argv of one Toree. Holds no Spark property: those are in `properties_file`."""
    options = plan.options
    nice = ["nice", "-n", str(options.niceness)] if options.niceness else []
    return [
        *nice,
        os.path.join(plan.installation.spark.home, "bin", "spark-submit"),
        *("--properties-file", properties_file),
        *("--class", "org.apache.toree.Main"),
        plan.installation.toree.assembly,
        *("--profile", connection_file),
        # For SQL notebooks too: see web/sql.py.
        *("--default-interpreter", "Scala"),
        *("--spark-context-initialization-mode", options.spark_context),
        *("--alternate-sigint", toree_interrupt.SIGNAL),
        *options.arguments,
    ]


def properties(plan: Plan, kernel_id: str, java_options_file: str) -> dict[str, str]:
    """Return the Spark properties of one launch. They name `java_options_file` when `java_options` needs it."""
    conf = plan.conf
    known = {key: value for key, value in conf.items() if key.startswith("spark.")}
    known |= {key: f"{conf.memory_mib(key, 0)}m" for key in JVM_SIZES if key in known}
    known["spark.master"] = conf.master
    known["spark.submit.deployMode"] = "client"
    known["spark.app.name"] = application_name(plan, kernel_id)
    known[DRIVER] = f"@{java_options_file}" if java_options(plan) else driver_options(plan)
    known[EXECUTOR] = executor_options(plan)
    for name, value in PYTHON_UTF_8.items():
        known.setdefault(f"spark.executorEnv.{name}", value)
    for folded in (DRIVER_DEFAULT, EXECUTOR_DEFAULT):
        known.pop(folded, None)
    return known


def application_name(plan: Plan, kernel_id: str) -> str:
    """Return `spark.app.name` without the blanks around it, which Spark strips (Utils.trimExceptCRLF)."""
    return trimmed(f"{plan.conf.get('spark.app.name', f'Apache Toree - {plan.interpreter}')} {kernel_id}")


def sets_user(plan: Plan) -> bool:
    """Return whether a Java option gives the driver another `user.name` than the system does."""
    environ = (plan.conf.environ.get(name, "") for name in JAVA_VARIABLES)
    return any("-Duser.name" in options for options in (driver_options(plan), *environ))


def driver_options(plan: Plan) -> str:
    """Return the Java options of the driver, as Spark quotes them. The administrator's come last, and win."""
    needed = (ADD_OPENS, UTF_8) if plan.installation.java.major >= 9 else (UTF_8,)
    return _joined(*needed, plan.conf.get(DRIVER_DEFAULT, ""), plan.conf.get(DRIVER, ""))


def executor_options(plan: Plan) -> str:
    """Return the Java options of the executors, which write text as the driver does if the administrator's let them."""
    return _joined(UTF_8, plan.conf.get(EXECUTOR_DEFAULT, ""), plan.conf.get(EXECUTOR, ""))


def _joined(*options: str) -> str:
    return " ".join(each for each in options if each)


def java_options(plan: Plan) -> str:
    """Return the driver's options as a Java argument file, or "" when they may stand on the command line.

    Spark's launcher puts spark.driver.extraJavaOptions on the JVM's command line (SparkSubmitCommandBuilder), where
    `ps` shows them; a secret among them goes into a file instead. Java 8 has no such files.
    """
    options = driver_options(plan)
    if plan.installation.java.major < 9 or not plan.conf.redactor().is_secret(DRIVER, options):
        return ""
    return argument_file(options)


def submit_options(plan: Plan, env: Mapping[str, str]) -> str:
    """Return $SPARK_SUBMIT_OPTS as a Java argument file, or "" when it may stay as it is, by the same rule.

    Spark's launcher puts it on the JVM's command line too, before the driver's memory. Raises SparkConfError for an
    open quote.
    """
    options = env.get(SUBMIT_OPTIONS, "")
    secret = plan.conf.redactor().is_secret(SUBMIT_OPTIONS, options)
    try:
        argument_file(options)
    except ValueError as error:
        shown = "" if secret else f", not {options!r}"
        raise SparkConfError(f"environment variable {SUBMIT_OPTIONS}", f"it must be {error}{shown}") from None
    return argument_file(options) if secret and plan.installation.java.major >= 9 else ""


def argument_file(options: str) -> str:
    """Return a Java argument file (the java command, "@argfiles") of options that are quoted as Spark quotes them."""
    quoted = (option.replace("\\", "\\\\").replace('"', '\\"') for option in split(options))
    return "".join(f'"{option}"\n' for option in quoted)


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
