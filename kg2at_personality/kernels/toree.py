"""How a Toree kernel is launched: its plan, its command, its properties, its environment."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..admission.request import SOURCE as REQUEST
from ..admission.request import RequestBounds, executors_of, requested_properties
from ..errors import SparkConfError
from ..spark.cluster import ExecutorRequest
from ..spark.conf import SparkConf, SparkConfReader
from ..spark.home import Installation, InstallationFinder
from . import interrupts

#: Toree finds its magics by opening jar files, which Java 9 and later forbid unless told otherwise.
ADD_OPENS = "--add-opens=java.base/java.util.jar=ALL-UNNAMED"
DRIVER_OPTIONS = "spark.driver.extraJavaOptions"
#: Put before the others since Spark 3.0; kg2at puts them there itself.
DEFAULT_OPTIONS = "spark.driver.defaultJavaOptions"
#: What else a JVM, or Spark's launcher of one, reads options from.
JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "IBM_JAVA_OPTIONS", "SPARK_SUBMIT_OPTS")
#: What Spark strips from both ends of a value: all up to the blank, but line ends.
BLANKS = "".join(map(chr, range(33))).replace("\r", "").replace("\n", "")
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

    @property
    def executors(self) -> ExecutorRequest | None:
        """What its application will ask the cluster for; None when it uses no cluster."""
        return executors_of(self.conf) if self.options.spark_context != "none" else None


@dataclass(frozen=True)
class ToreeLauncher:
    """Resolves plans from the files and the environment as they are now."""

    reader: SparkConfReader = field(default_factory=SparkConfReader)
    finder: InstallationFinder = field(default_factory=InstallationFinder)
    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    options: ToreeOptions = field(default_factory=ToreeOptions)
    bounds: RequestBounds = field(default_factory=RequestBounds)

    def conf(self, profile: str = "", env: Mapping[str, str] | None = None) -> SparkConf:
        """Spark's configuration for `profile` ("" for none) and a client's `env`. Blocking: reads files.

        Raises SparkConfError for a broken file or value and RequestError for a bad request.
        """
        conf = self.reader.read(os.environ)
        if profile:
            conf = conf.overlay(f"profile {profile}", self.profiles[profile])
        conf = conf.overlay(REQUEST, requested_properties(env or {}, self.bounds))
        return _with_cores(conf)

    def plan(self, interpreter: str, profile: str = "", env: Mapping[str, str] | None = None) -> Plan:
        """Everything one launch needs. Blocking. Raises ConfigError and RequestError."""
        conf = self.conf(profile, env)
        return Plan(conf, self.finder.find(conf.environ), interpreter, self.options, self.reader.conf_dir or "")


def _with_cores(conf: SparkConf) -> SparkConf:
    """Cap an uncapped application on a standalone master, which would take every core (Spark's spark.cores.max)."""
    if not conf.master.startswith("spark://") or "spark.cores.max" in conf:
        return conf
    if conf.boolean("spark.dynamicAllocation.enabled", False):
        return conf
    cores = conf.get("spark.executor.cores", "1")
    return conf.overlay("kg2at's default", {"spark.cores.max": cores})


def command(plan: Plan, connection_file: str, properties_file: str) -> list[str]:
    """The argv of one Toree. Holds no Spark property: those are in `properties_file`."""
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
        *("--alternate-sigint", interrupts.SIGNAL),
        *options.arguments,
    ]


def properties(plan: Plan, kernel_id: str, java_options_file: str) -> dict[str, str]:
    """The Spark properties of one launch. `java_options_file` is named when `java_options` says it is needed."""
    conf = plan.conf
    known = {key: value for key, value in conf.items() if key.startswith("spark.")}
    known |= {key: f"{conf.memory_mib(key, 0)}m" for key in JVM_SIZES if key in known}
    known["spark.master"] = conf.master
    known["spark.submit.deployMode"] = "client"
    known["spark.app.name"] = application_name(plan, kernel_id)
    known.pop(DEFAULT_OPTIONS, None)
    if options := driver_options(plan):
        known[DRIVER_OPTIONS] = f"@{java_options_file}" if java_options(plan) else options
    return known


def application_name(plan: Plan, kernel_id: str) -> str:
    """`spark.app.name`, without the blanks around it, which Spark strips from what it reads (Utils.trimExceptCRLF)."""
    return f"{plan.conf.get('spark.app.name', f'Apache Toree - {plan.interpreter}')} {kernel_id}".strip(BLANKS)


def sets_user(plan: Plan) -> bool:
    """Whether a Java option gives the driver another `user.name` than the system does."""
    environ = (plan.conf.environ.get(name, "") for name in JAVA_VARIABLES)
    return any("-Duser.name" in options for options in (driver_options(plan), *environ))


def driver_options(plan: Plan) -> str:
    """The Java options of the driver, as Spark quotes them."""
    needed = ADD_OPENS if plan.installation.java.major >= 9 else ""
    configured = (plan.conf.get(key, "") for key in (DEFAULT_OPTIONS, DRIVER_OPTIONS))
    return " ".join(options for options in (needed, *configured) if options)


def java_options(plan: Plan) -> str:
    """The driver's options as a Java argument file, or "" when they may stand on the command line.

    Spark's launcher puts spark.driver.extraJavaOptions on the JVM's command line (SparkSubmitCommandBuilder), where
    `ps` shows them; a secret among them goes into a file instead. Java 8 has no such files. Raises SparkConfError for
    a quote that is left open.
    """
    options = driver_options(plan)
    if plan.installation.java.major < 9 or not plan.conf.redactor().is_secret(DRIVER_OPTIONS, options):
        return ""
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise SparkConfError(DRIVER_OPTIONS, f"{error} (its value is not shown, as it holds a secret)") from None
    quoted = (option.replace("\\", "\\\\").replace('"', '\\"') for option in words)
    return "".join(f'"{option}"\n' for option in quoted)


def environment(plan: Plan, env: Mapping[str, str], kernel_id: str) -> dict[str, str]:
    """The environment of one launch: `env` with what spark-submit must find."""
    needed = {
        "SPARK_HOME": plan.installation.spark.home,
        "JAVA_HOME": plan.installation.java.home,
        "KERNEL_ID": kernel_id,
        # Toree's run.sh sets it, so that Python workers hash strings alike.
        "PYTHONHASHSEED": "0",
    }
    if plan.conf_dir:
        needed["SPARK_CONF_DIR"] = plan.conf_dir
    if plan.options.job_name:
        needed["_BPX_JOBNAME"] = plan.options.job_name
    # Already part of the properties; spark-submit itself ignores it.
    return {name: value for name, value in env.items() if name != "SPARK_OPTS"} | needed
