"""Checks Spark, Java and Toree: whether each is installed, and whether they fit each other."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator

from ...errors import InstallationError
from ...spark.installation import Spark, Toree, check_py4j, check_scala
from .finding import Finding, error, ok, warning
from .subject import Subject

MEND = "mend that, and check again"


def installation(subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each of the three, and for what they require of each other."""
    spark = _spark(subject)
    yield spark if isinstance(spark, Finding) else _spark_line(spark)
    found = Spark("", "", "") if isinstance(spark, Finding) else spark
    yield from _java(subject, found)
    toree = _toree(subject)
    yield (
        toree if isinstance(toree, Finding) else ok("Toree", f"{toree.version or 'unknown version'}, {toree.assembly}")
    )
    if not isinstance(toree, Finding) and found.home:
        yield _scala(found, toree)
        yield _py4j(found, toree)


def _spark(subject: Subject) -> Spark | Finding:
    try:
        return subject.launcher.finder.spark(subject.environ)
    except InstallationError as failure:
        return _failed("Spark", failure, "set SPARK_HOME")


def _spark_line(spark: Spark) -> Finding:
    if not spark.version:
        return warning("Spark", f"{spark.home} does not tell its version", "see that it is a whole Spark, 2.0 or later")
    return ok("Spark", f"{spark.version} in {spark.home}")


def _java(subject: Subject, spark: Spark) -> Iterator[Finding]:
    try:
        java, warnings = subject.launcher.finder.java(subject.environ, spark)
    except InstallationError as failure:
        yield _failed("Java", failure, "set JAVA_HOME")
        return
    for sentence in warnings:
        yield warning("Java", sentence, "set JAVA_HOME to a Java that this Spark supports")
    if not warnings:
        yield ok("Java", f"{java.version} in {java.home}")


def _toree(subject: Subject) -> Toree | Finding:
    try:
        return subject.launcher.finder.toree(subject.environ)
    except InstallationError as failure:
        return _failed("Toree", failure, "set TOREE_HOME")


def _scala(spark: Spark, toree: Toree) -> Finding:
    """Check that both are built for the same Scala."""
    try:
        doubts = check_scala(spark, toree)
    except InstallationError as failure:
        return _failed("Scala", failure, "")
    if doubts:
        return warning("Scala", " ".join(doubts), "start a notebook to find out: check --start")
    return ok("Scala", f"{spark.scala}, for Spark and Toree alike")


def _py4j(spark: Spark, toree: Toree) -> Finding:
    """Check that py4j is in SPARK_HOME, without which a Toree before 0.3 ends at its start."""
    try:
        check_py4j(spark, toree)
    except InstallationError as failure:
        return _failed("py4j", failure, "")
    found = glob.glob(os.path.join(spark.home, "python", "lib", "py4j-*-src.zip"))
    return ok("py4j", found[0] if found else "not there, and this Toree needs none")


def _failed(check: str, failure: InstallationError, remedy: str) -> Finding:
    """Return an error; an InstallationError says what to do in its last sentence, if it has several."""
    said, stop, advice = str(failure).rstrip(".").rpartition(". ")
    return error(check, said or advice, advice if stop else remedy or MEND)
