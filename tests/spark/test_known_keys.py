"""The list of Spark's properties, and what it makes of misspelt ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from kg2at_personality.spark.known_keys import keys_in, known_keys, misspelt

MISSPELT = {
    "spark.executor.memry": "spark.executor.memory",
    "spark.executor.memoryy": "spark.executor.memory",
    "spark.executor.nemory": "spark.executor.memory",
    "spark.exeuctor.memory": "spark.executor.memory",
    "spark.dynamicallocation.enabled": "spark.dynamicAllocation.enabled",
    "spark.sql.shuffle.partition": "spark.sql.shuffle.partitions",
    "spark.executor.memory": None,
    "spark.executor.mmry": None,
    "spark.network.ssl.maxEncryptedBlockSize": None,  # Spark 4's, one letter from Spark 3's
    "spark.my.own": None,
    "": None,
}


@pytest.mark.parametrize(("key", "meant"), MISSPELT.items())
def test_one_letter(key: str, meant: str | None) -> None:
    assert misspelt(key) == meant


def test_the_list_has_all_of_the_embedded_spark() -> None:
    """And all of Spark 4, which tests/e2e/test_spark4.py installs."""
    found = importlib.util.find_spec("pyspark")
    jars = Path(found.submodule_search_locations[0]) / "jars" if found and found.submodule_search_locations else None
    if jars is None or not list(jars.glob("spark-core_*-3.5.9.jar")):
        pytest.skip("the list was made from Spark 3.5.9")
    assert set(keys_in(jars)) <= known_keys()
