"""What Spark refuses together: each case against the real SparkConf.validateSettings as well."""

from __future__ import annotations

from typing import Any

import pytest

from kg2at_personality.errors import SparkConfError
from kg2at_personality.spark.conf import SparkConfReader
from kg2at_personality.spark.conflicts import check_together

BAD: list[tuple[dict[str, str], str]] = [
    ({"spark.network.timeout": "10s"}, "spark.network.timeout .10 s. must be longer than"),
    ({"spark.network.timeout": "5"}, "must be longer"),
    ({"spark.network.timeout": "10001ms"}, "must be longer"),
    ({"spark.executor.heartbeatInterval": "2min"}, "must be longer than spark.executor.heartbeatInterval .120 s."),
    ({"spark.executor.heartbeatInterval": "120000"}, "must be longer"),
    ({"spark.network.crypto.enabled": "true"}, "Spark wants spark.authenticate to be true"),
    ({"spark.authenticate.enableSaslEncryption": "true", "spark.authenticate": "false"}, "spark.authenticate"),
]
GOOD: list[dict[str, str]] = [
    {},
    {"spark.network.timeout": "11001ms"},
    {"spark.network.timeout": "20s", "spark.executor.heartbeatInterval": "19s"},
    {"spark.executor.heartbeatInterval": "120"},
    {"spark.network.crypto.enabled": "true", "spark.authenticate": "true"},
    {"spark.network.crypto.enabled": "false"},
]


@pytest.mark.parametrize(("values", "problem"), BAD)
def test_refused(values: dict[str, str], problem: str) -> None:
    with pytest.raises(SparkConfError, match=problem) as caught:
        check_together(SparkConfReader(overrides=values).read({}))
    assert caught.value.where == "KG2ATPersonality.spark_conf"


@pytest.mark.parametrize("values", GOOD)
def test_taken(values: dict[str, str]) -> None:
    check_together(SparkConfReader(overrides=values).read({}))


@pytest.mark.e2e
def test_as_spark_says(spark_jvm: Any) -> None:
    from py4j.protocol import Py4JJavaError

    def validate(values: dict[str, str]) -> None:
        conf = spark_jvm.org.apache.spark.SparkConf(False)
        for key, value in values.items():
            conf.set(key, value)
        conf.validateSettings()

    for values, _ in BAD:
        with pytest.raises(Py4JJavaError, match="requirement failed"):
            validate(values)
    for values in GOOD:
        validate(values)
