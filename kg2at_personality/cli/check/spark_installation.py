"""Checks Spark, Java, Toree and Python: whether each is installed, and whether they fit each other."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator

from ...errors import InstallationError
from ...spark.installation import Spark, Toree, check_py4j, check_scala
from ...spark.python_finder import PythonInstallation
from .finding import Finding, failed, ok, warning
from .python_kernels import CHECK, python_kernels, python_of
from .subject import Subject


def installation(subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each, and for what they require of each other.

    Notebooks need Toree or Python: where one of the two runs, it is a warning that the other does not, unless a person
    set what is wrong.
    """
    try:
        spark = subject.launcher.finder.spark(subject.environ)
    except InstallationError as failure:
        yield failed("Spark", failure, "set SPARK_HOME")
        yield from _java(subject, Spark("", "", ""))
        yield from _toree(subject, None, spare=False)
        return
    yield _spark_line(spark)
    yield from _java(subject, spark)
    python = python_of(subject, spark)
    yield from _toree(subject, spark, spare=isinstance(python, PythonInstallation))
    if isinstance(python, PythonInstallation):
        yield from python_kernels(subject, python)
    elif python is not None:
        yield failed(CHECK, python, spare=_runs_toree(subject, spark))


def _runs_toree(subject: Subject, spark: Spark) -> bool:
    try:
        subject.launcher.finder.toree_for(spark, subject.environ)
    except InstallationError:
        return False
    return True


def _spark_line(spark: Spark) -> Finding:
    if not spark.version:
        return warning("Spark", f"{spark.home} does not tell its version", "see that it is a whole Spark, 2.0 or later")
    return ok("Spark", f"{spark.version} in {spark.home}")


def _java(subject: Subject, spark: Spark) -> Iterator[Finding]:
    try:
        java, warnings = subject.launcher.finder.java(subject.environ, spark)
    except InstallationError as failure:
        yield failed("Java", failure, "set JAVA_HOME")
        return
    for sentence in warnings:
        yield warning("Java", sentence, "set JAVA_HOME to a Java that this Spark supports")
    if not warnings:
        yield ok("Java", f"{java.version} in {java.home}")


def _toree(subject: Subject, spark: Spark | None, spare: bool) -> Iterator[Finding]:
    """Yield what runs notebooks in Scala and SQL. `spare`: there is Python without it."""
    try:
        toree = subject.launcher.finder.toree(subject.environ)
    except InstallationError as failure:
        yield failed("Toree", failure, "set TOREE_HOME", spare)
        return
    yield ok("Toree", f"{toree.version or 'unknown version'}, {toree.assembly}")
    if spark is not None:
        yield _scala(spark, toree, spare)
        yield _py4j(spark, toree, spare)


def _scala(spark: Spark, toree: Toree, spare: bool) -> Finding:
    """Check that both are built for the same Scala."""
    try:
        doubts = check_scala(spark, toree)
    except InstallationError as failure:
        return failed("Scala", failure, spare=spare)
    if doubts:
        return warning("Scala", " ".join(doubts), "start a notebook to find out: check --start")
    return ok("Scala", f"{spark.scala}, for Spark and Toree alike")


def _py4j(spark: Spark, toree: Toree, spare: bool) -> Finding:
    """Check that py4j is in SPARK_HOME, without which a Toree before 0.3 ends at its start."""
    try:
        check_py4j(spark, toree)
    except InstallationError as failure:
        return failed("py4j", failure, spare=spare)
    found = glob.glob(os.path.join(spark.home, "python", "lib", "py4j-*-src.zip"))
    return ok("py4j", found[0] if found else "not there, and this Toree needs none")
