"""The directory of Spark's configuration files."""

from __future__ import annotations

import pytest

from kg2at_personality.spark.conf_dir import conf_dir_of, with_conf_dir


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ""),
        ({"SPARK_HOME": ""}, ""),
        ({"SPARK_HOME": "/spark"}, "/spark/conf"),
        ({"SPARK_HOME": "/spark", "SPARK_CONF_DIR": ""}, "/spark/conf"),
        ({"SPARK_HOME": "/spark", "SPARK_CONF_DIR": "/etc/spark"}, "/etc/spark"),
        ({"SPARK_CONF_DIR": "/etc/spark"}, "/etc/spark"),
    ],
)
def test_where_spark_looks(environ: dict[str, str], expected: str) -> None:
    assert conf_dir_of(environ) == expected
    assert with_conf_dir(environ, None, "").get("SPARK_CONF_DIR", "") == expected


def test_a_given_home_is_for_an_environment_without_one() -> None:
    completed = {"SPARK_HOME": "/given", "SPARK_CONF_DIR": "/given/conf"}
    assert with_conf_dir({"SPARK_HOME": ""}, "/given", None) == completed
    assert with_conf_dir({"SPARK_HOME": "/own"}, "/given", None)["SPARK_CONF_DIR"] == "/own/conf"


def test_a_given_directory_wins_and_the_environment_stays() -> None:
    environ = {"SPARK_CONF_DIR": "/etc/spark", "ONE": "1"}
    assert with_conf_dir(environ, None, "/given") == {"SPARK_CONF_DIR": "/given", "ONE": "1"}
    assert environ["SPARK_CONF_DIR"] == "/etc/spark"
