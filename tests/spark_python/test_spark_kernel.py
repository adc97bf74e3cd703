"""A real kernel, with sessions that have no Spark; tests/e2e has those that have it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fakes import small_pyspark
from tests.fakes.python_kernel import PythonKernel

#: Uses Spark, and has the names lazy again.
USE = "spark\nget_ipython().kernel.names.define(get_ipython().kernel.driver)"


@pytest.mark.parametrize("before", [[], ["1 + 1"], [USE], [USE, USE]])
def test_a_silent_cell_may_use_spark(tmp_path: Path, before: list[str]) -> None:
    """IPython tells of no cell that is silent before it runs."""
    small_pyspark.make(tmp_path)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    with PythonKernel(tmp_path, {}, environ) as kernel:
        for cell in before:
            assert kernel.run(cell).status == "ok"
        kernel.run("kind = type(spark).__name__", silent=True)
        assert kernel.run("kind").result == "'SparkSession'"
