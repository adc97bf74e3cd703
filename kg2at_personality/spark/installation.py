"""Installations of Spark, Java and Toree, and whether they fit together."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass

from ..errors import InstallationError
from .toree_assembly import read_assembly

# The Javas for a Spark from this version on: "Spark runs on Java ..." in docs/index.md of each release
# (https://spark.apache.org/docs/3.5.2/ and siblings). 2.x says "8+", but breaks on the modules of 9. 5.0 on: not known.
SUPPORTED_JAVA: dict[tuple[int, int], tuple[int, ...]] = {(5, 0): (), (4, 2): (17, 21, 25), (4, 0): (17, 21)}
SUPPORTED_JAVA |= {(3, 3): (8, 11, 17), (3, 0): (8, 11), (2, 0): (8,)}
SPARK_OF_SCALA = {"2.11": "2.0 to 2.4", "2.12": "3.0 to 3.5", "2.13": "4 (or 3.2 to 3.5)"}


@dataclass(frozen=True)
class Spark:
    """A Spark installation: `version` ("3.5.9") and `scala` ("2.12") are "" when they can't be told."""

    home: str
    version: str
    scala: str


@dataclass(frozen=True)
class Java:
    """A Java installation: `version` as it says itself ("17.0.15", "1.8.0_392"), `major` 17 or 8."""

    home: str
    version: str
    major: int


@dataclass(frozen=True)
class Toree:
    """Toree's assembly: absolute path of the jar; `version` ("0.5.0") and `scala` ("2.12") are "" when not told."""

    assembly: str
    version: str
    scala: str
    #: What may still go wrong, a sentence each.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Installation:
    """Spark and Java that can work together, and what may still go wrong, a sentence each."""

    spark: Spark
    java: Java
    warnings: tuple[str, ...] = ()


def unsupported_java(java: Java, spark: Spark) -> str:
    """Return the warning about a Java that isn't for this Spark; "" if it is, or if that isn't known."""
    number = tuple(map(int, re.findall(r"\d+", spark.version)[:2]))
    javas = next((javas for since, javas in SUPPORTED_JAVA.items() if number >= since), ())
    if not javas or java.major in javas:
        return ""
    # JEP 403 locked java.base in 17; Spark opens what it needs since 3.3 (its class JavaModuleOptions).
    locked = " It will fail: Spark before 3.3 uses internals of Java (sun.nio.ch) that Java 17 locks."
    text = f"Java {java.version} ({java.home}) is none that Spark {spark.version} supports ({str(javas).strip('(,)')})."
    return text + (locked if java.major >= 17 > max(javas) else "")


def check_scala(spark: Spark, toree: Toree) -> tuple[str, ...]:
    """Raise InstallationError when Spark and Toree are built for different Scalas, such as 2.12 and 2.13.

    Return a warning, in a tuple, when one of the two can't be told.
    """
    if not (spark.scala and toree.scala):
        return (f"Can't tell whether {toree.assembly} and Spark in {spark.home} are built for the same Scala.",)
    if spark.scala == toree.scala:
        return ()
    text = f"{toree.assembly} is built for Scala {toree.scala}, Spark {spark.version} in {spark.home} for {spark.scala}"
    fitting = f"Use a Spark {SPARK_OF_SCALA.get(toree.scala, 'version')} built for Scala {toree.scala}"
    raise InstallationError(f"{text}: no kernel would start. {fitting}, or a Toree built for Scala {spark.scala}.")


def check_py4j(spark: Spark, toree: Toree) -> None:
    """Raise InstallationError when Spark lacks the py4j that this Toree needs. Blocking: reads the jar.

    Toree before 0.3 has a PySpark interpreter and does not start without py4j; Spark for z/OS comes without it.
    """
    lib = os.path.join(spark.home, "python", "lib")
    if read_assembly(toree.assembly).has_pyspark and not glob.glob("py4j-*-src.zip", root_dir=lib):
        text = f"{toree.assembly} has a PySpark interpreter and needs {lib}/py4j-*-src.zip. Put it there from the same"
        source = f"place in Apache's Spark {spark.version} (for 2.0.2 it is py4j-0.10.3-src.zip)"
        raise InstallationError(f"{text} {source}, or use Toree 0.3 or later, which needs none.")
