"""$SPARK_OPTS, read as spark-submit reads its arguments."""

from __future__ import annotations

import pytest

from kg2at_personality.errors import SparkConfError
from kg2at_personality.spark.spark_opts import parse_spark_opts


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("--conf spark.a=1", {"spark.a": "1"}),
        ("--conf=spark.a=1", {"spark.a": "1"}),
        ("-c spark.a=1", {"spark.a": "1"}),
        ("--conf spark.a=x=y", {"spark.a": "x=y"}),
        ("--conf spark.a=", {"spark.a": ""}),
        ("--conf 'spark.a=-Dx=1 -Dy=2' --conf spark.b=\"it's\"", {"spark.a": "-Dx=1 -Dy=2", "spark.b": "it's"}),
        ("--conf spark.a=1 --conf spark.a=2", {"spark.a": "2"}),
        ("--master spark://h:7077", {"spark.master": "spark://h:7077"}),
        ("--master=local[2]", {"spark.master": "local[2]"}),
        ("--driver-memory 1g --executor-memory 2g", {"spark.driver.memory": "1g", "spark.executor.memory": "2g"}),
        ("--executor-cores 2 --total-executor-cores 4", {"spark.executor.cores": "2", "spark.cores.max": "4"}),
        # The option wins, whatever the order.
        ("--executor-cores 2 --conf spark.executor.cores=3", {"spark.executor.cores": "2"}),
        ("--jars a.jar,b.jar --driver-java-options '-Dx -Dy'",
         {"spark.jars": "a.jar,b.jar", "spark.driver.extraJavaOptions": "-Dx -Dy"}),
        ("--name 'my kernel' --conf spark.a=1", {"spark.a": "1"}),
    ],
)  # fmt: skip
def test_spark_opts(text: str, values: dict[str, str]) -> None:
    opts = parse_spark_opts(text, "SPARK_OPTS")
    assert opts.values == values
    assert opts.ignored == ()


def test_unknown_options_are_ignored_with_a_sentence_and_without_values() -> None:
    text = "--verbose --token hunter2 --pin=4711 -p=4711 --properties-file f.conf --conf spark.a=1"
    opts = parse_spark_opts(text, "SPARK_OPTS")
    assert opts.values == {"spark.a": "1"}
    assert opts.ignored == (
        "SPARK_OPTS: --verbose is ignored",
        "SPARK_OPTS: --token is ignored",
        "SPARK_OPTS: a word that belongs to no option is ignored",
        "SPARK_OPTS: --pin is ignored",
        "SPARK_OPTS: -p is ignored",
        "SPARK_OPTS: --properties-file is ignored",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("--conf 'spark.password=hunter2", "No closing quotation"),
        ("--conf", "--conf lacks its argument"),
        ("--master", "--master lacks its argument"),
        ("--conf hunter2", "KEY=VALUE"),
    ],
)
def test_broken_spark_opts(text: str, problem: str) -> None:
    with pytest.raises(SparkConfError, match=problem) as caught:
        parse_spark_opts(text, "SPARK_OPTS")
    assert caught.value.where == "SPARK_OPTS"
    assert "hunter2" not in str(caught.value)
