from __future__ import annotations

from typing import Any

import pytest

from kg2at_personality.spark.references import resolved

ENVIRON = {"PORT": "4050", "NAME": "spark.a", "EMPTY": ""}
PROPERTIES = {
    "spark.a": "1",
    "spark.b": "${spark.a}${env:PORT}",
    "spark.loop": "${spark.pool}",
    "spark.pool": "${spark.loop}",
}
VALUES = {
    "4040": "4040",
    "${env:PORT}": "4050",
    "a ${env:PORT} b ${env:EMPTY}${spark.a}": "a 4050 b 1",
    "${spark.b}": "14050",
    "${env:NONE}": "${env:NONE}",
    "${spark.none}": "${spark.none}",
    "${other}": "${other}",
    "${unknown:PORT}": "${unknown:PORT}",
    "${ env:PORT}": "${ env:PORT}",
    "$PORT $${x": "$PORT $${x",
}


@pytest.mark.parametrize("value", VALUES)
def test_what_they_stand_for(value: str) -> None:
    assert resolved(value, ENVIRON, PROPERTIES) == VALUES[value]


def test_what_the_jvm_knows_stays() -> None:
    assert resolved("${system:user.name}", ENVIRON, PROPERTIES) == "${system:user.name}"


def test_a_circle() -> None:
    with pytest.raises(ValueError, match="leads to itself"):
        resolved("${spark.loop}", ENVIRON, PROPERTIES)


@pytest.mark.e2e
def test_spark_resolves_them_so(spark_jvm: Any) -> None:
    from py4j.protocol import Py4JJavaError

    provider = spark_jvm.java.util.HashMap()
    for key, value in PROPERTIES.items():
        provider.put(key, value)
    reader = spark_jvm.org.apache.spark.internal.config.ConfigReader(provider)
    variables = spark_jvm.java.util.HashMap()
    for name, value in ENVIRON.items():
        variables.put(name, value)
    reader.bindEnv(spark_jvm.org.apache.spark.internal.config.MapProvider(variables))
    for value, expected in VALUES.items():
        assert reader.substitute(value) == expected, value
    with pytest.raises(Py4JJavaError, match="Circular reference"):
        reader.substitute("${spark.loop}")
