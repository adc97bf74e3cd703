from __future__ import annotations

import pytest

from kg2at_personality.errors import SparkConfError
from kg2at_personality.spark.master_variables import master_from, unused
from kg2at_personality.spark.properties import Property


@pytest.mark.parametrize(
    ("environ", "master", "source"),
    [
        ({}, "local[*]", "kg2at's default"),
        ({"SPARK_LOCAL_IP": "10.0.0.1"}, "local[*]", "kg2at's default"),
        ({"SPARK_MASTER_HOST": "h"}, "spark://h:7077", "SPARK_MASTER_HOST"),
        ({"SPARK_MASTER_HOST": "h", "SPARK_MASTER_PORT": "7078"}, "spark://h:7078",
         "SPARK_MASTER_HOST and SPARK_MASTER_PORT"),
        ({"SPARK_LOCAL_IP": "10.0.0.1", "SPARK_MASTER_PORT": "7078"}, "spark://10.0.0.1:7078",
         "SPARK_LOCAL_IP and SPARK_MASTER_PORT"),
        ({"SPARK_LOCAL_IP": "10.0.0.1", "SPARK_MASTER_HOST": "h", "SPARK_MASTER_PORT": "7078"}, "spark://h:7078",
         "SPARK_MASTER_HOST and SPARK_MASTER_PORT"),
        ({"SPARK_LOCAL_IP": "10.0.0.1", "SPARK_MASTER_HOST": "h"}, "spark://h:7077", "SPARK_MASTER_HOST"),
        ({"SPARK_MASTER_HOST": "", "SPARK_MASTER_PORT": "", "MASTER": ""}, "local[*]", "kg2at's default"),
        ({"MASTER": "spark://m:7079", "SPARK_MASTER_HOST": "h", "SPARK_MASTER_PORT": "7078"}, "spark://m:7079",
         "environment variable MASTER"),
        ({"SPARK_MASTER_IP": "h"}, "spark://h:7077", "SPARK_MASTER_IP"),
        ({"SPARK_MASTER_IP": "i", "SPARK_MASTER_HOST": "h"}, "spark://h:7077", "SPARK_MASTER_HOST"),
        ({"SPARK_MASTER_HOST": " h "}, "spark://h:7077", "SPARK_MASTER_HOST"),
        ({"SPARK_MASTER_HOST": "[::1]"}, "spark://[::1]:7077", "SPARK_MASTER_HOST"),
        ({"SPARK_MASTER": "spark://h:7077", "SPARK_MASTER_URL": "spark://h:7077"}, "local[*]", "kg2at's default"),
    ],
)  # fmt: skip
def test_master(environ: dict[str, str], master: str, source: str) -> None:
    setting = master_from(environ)
    assert (setting.key, setting.value, setting.source) == ("spark.master", master, source)


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"SPARK_MASTER_PORT": "7077"}, "set SPARK_MASTER_HOST as well"),
        ({"SPARK_MASTER_HOST": "h", "SPARK_MASTER_PORT": "tcp://10.0.0.1:7077"}, "must be a port number"),
        ({"SPARK_MASTER_HOST": "h", "SPARK_MASTER_PORT": "70000"}, "must be a port number"),
    ],
)
def test_half_a_master(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(SparkConfError, match=problem) as caught:
        master_from(environ)
    assert caught.value.where == "environment variable SPARK_MASTER_PORT"


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("spark://h:7077", r"not 'spark://h:7077' \(write h, and its port as SPARK_MASTER_PORT\)"),
        ("h:7077", r"\(write h, "),
        ('"h"', r"not '\"h\"' \(write h, "),
        ("h\r", r"not 'h\\r' \(write h, "),
        ("http://h:8080/", r"\(write h, "),
        ("my_host", "not 'my_host'$"),
        ("h1,h2", "not 'h1,h2'$"),
    ],
)
def test_what_is_no_host(host: str, problem: str) -> None:
    with pytest.raises(SparkConfError, match=problem) as caught:
        master_from({"SPARK_MASTER_HOST": host})
    assert caught.value.where == "environment variable SPARK_MASTER_HOST"


def test_the_old_name_counts_until_spark_4() -> None:
    environ = {"SPARK_MASTER_IP": "h"}
    for version in ("", "2.0.2", "3.5.9"):
        assert master_from(environ, version=version).value == "spark://h:7077"
    for version in ("4.0.0", "10.1"):
        assert master_from(environ, version=version).value == "local[*]"


CHOSEN = Property("spark.master", "spark://a:7077,b:7078", "FILE", 3)
USED = "kernels use spark://a:7077,b:7078 (FILE, line 3)"


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, []),
        ({"MASTER": CHOSEN.value, "SPARK_MASTER": CHOSEN.value}, []),
        ({"MASTER": "spark://a:7077"}, ["MASTER"]),
        ({"MASTER": " "}, []),
        ({"SPARK_MASTER": "local", "SPARK_MASTER_URL": "x", "SPARK_MASTER_URI": "y"},
         ["SPARK_MASTER", "SPARK_MASTER_URL", "SPARK_MASTER_URI"]),
        ({"SPARK_MASTER_HOST": "a", "SPARK_MASTER_PORT": "7077"}, []),
        ({"SPARK_MASTER_HOST": "b", "SPARK_MASTER_PORT": "7078"}, []),
        ({"SPARK_MASTER_IP": "b"}, []),
        ({"SPARK_MASTER_HOST": "c"}, ["SPARK_MASTER_HOST"]),
        ({"SPARK_MASTER_PORT": "7079"}, ["SPARK_MASTER_PORT"]),
        ({"SPARK_MASTER_PORT": "707"}, ["SPARK_MASTER_PORT"]),
        ({"SPARK_MASTER_PORT": "tcp://10.0.0.1:7077"}, ["SPARK_MASTER_PORT"]),
    ],
)  # fmt: skip
def test_every_variable_left_unused_is_told(environ: dict[str, str], names: list[str]) -> None:
    said = list(unused(environ, CHOSEN))
    assert [each.split()[2] for each in said] == names
    assert all(" is not used: " in each and each.endswith(USED) for each in said)


def test_a_foreign_variable_names_spark_s_own() -> None:
    assert "Spark reads MASTER and spark.master" in next(iter(unused({"SPARK_MASTER": "x"}, CHOSEN)))
