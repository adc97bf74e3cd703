"""The options of the JVMs, and the files that keep secrets among them off the command line."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import SparkConfError
from ...spark.java_options import DRIVER, DRIVER_DEFAULT, EXECUTOR, EXECUTOR_DEFAULT, UTF_8, split
from .plan import Plan

#: Java options of spark-submit, of old a way to give properties (-Dspark.x=y).
SUBMIT_OPTIONS = "SPARK_SUBMIT_OPTS"
#: What else a JVM, or Spark's launcher of one, reads options from.
JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "IBM_JAVA_OPTIONS", "SPARK_SUBMIT_OPTS")


def sets_user(plan: Plan) -> bool:
    """Return whether a Java option gives the driver another `user.name` than the system does."""
    environ = (plan.conf.environ.get(name, "") for name in JAVA_VARIABLES)
    return any("-Duser.name" in options for options in (driver_options(plan), *environ))


def driver_options(plan: Plan) -> str:
    """Return the Java options of the driver, as Spark quotes them. The administrator's come last, and win."""
    needed = (*plan.runtime.java_options(plan.installation), UTF_8)
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


def written_options(plan: Plan, path: str) -> str:
    """Return what stands for the driver's options on the command line: themselves, or the file at `path`."""
    return f"@{path}" if java_options(plan) else driver_options(plan)


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
