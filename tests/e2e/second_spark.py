"""Another Spark than the embedded one, and a Python that suits it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.e2e.side_environment import side_environment


@dataclass(frozen=True)
class SecondSpark:
    """`home` is its SPARK_HOME; `python` can run its notebooks and its workers."""

    home: Path
    python: Path


def second_spark(version: str, *packages: str) -> SecondSpark:
    """Return Spark `version` in a virtual environment of its own, with `packages`."""
    directory = side_environment(f"spark-{version}", f"pyspark=={version}", *packages)
    (home,) = directory.glob("lib/python3*/site-packages/pyspark")
    return SecondSpark(home, directory / "bin" / "python")
