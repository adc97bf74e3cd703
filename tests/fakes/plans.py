"""Launches of a Toree that is installed nowhere."""

from __future__ import annotations

from kg2at_personality.kernels.launch.plan import LaunchOptions, Plan
from kg2at_personality.kernels.launch.toree import ToreeRuntime
from kg2at_personality.spark.conf import SparkConf, SparkConfReader
from kg2at_personality.spark.installation import Installation, Java, Spark, Toree


def conf(values: dict[str, str] | None = None) -> SparkConf:
    return SparkConfReader(overrides=values or {}).read({})


def plan(values: dict[str, str] | None = None, java: int = 17, options: LaunchOptions | None = None) -> Plan:
    installation = Installation(
        Spark("/opt/spark", "3.5.9", "2.12"),
        Java("/opt/java", str(java), java),
    )
    toree = ToreeRuntime(Toree("/opt/toree.jar", "0.5.0", "2.12"))
    return Plan(conf(values), installation, toree, "Scala", options or LaunchOptions())
