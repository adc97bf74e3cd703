"""A package `pyspark` with sessions and no Spark."""

from __future__ import annotations

from pathlib import Path

SQL = """
class SparkSession:
    class builder:
        getOrCreate = staticmethod(lambda: SparkSession())
class SQLContext: pass
"""


def make(directory: Path, *, init: str = "", gateway: str = "") -> None:
    """Make it importable from `directory`; `init` is what its import runs, `gateway` its module java_gateway."""
    package = directory / "pyspark"
    package.mkdir()
    for name, text in (("__init__", init), ("java_gateway", gateway), ("sql", SQL)):
        (package / f"{name}.py").write_text(text)
