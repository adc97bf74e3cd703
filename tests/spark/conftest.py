"""A real Spark to hold the rules against."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def spark_jvm() -> Iterator[Any]:
    """The py4j view of a JVM with Spark's classes and no SparkContext; about 3 s, once."""
    launcher = pytest.importorskip("pyspark.java_gateway")
    gateway = launcher.launch_gateway()
    yield gateway.jvm
    gateway.shutdown()
    # launch_gateway hands the JVM its stdin; closing it is how the JVM is told to go.
    gateway.proc.stdin.close()
    gateway.proc.wait(30)
