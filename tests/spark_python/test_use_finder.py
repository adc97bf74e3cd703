"""Which cells use Spark, and what is put into them."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from kg2at_personality.spark_python.lazy_names import LazyNames
from kg2at_personality.spark_python.use_finder import UseFinder, uses


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("spark.range(3)", {"spark"}),
        ("x = [sc for _ in y]", {"sc", "y", "_"} - {"_"}),
        ("print(sqlContext)", {"sqlContext", "print"}),
        ("def f(): return spark", set()),
        ("def f(x=spark): pass", {"spark"}),
        ("@spark.udf.register\ndef f(): pass", {"spark"}),
        ("f = lambda: sc", set()),
        ("f = lambda x=sc: x", {"sc"}),
        ("class A:\n    x = spark", {"spark"}),
        ("async def f(): await spark", set()),
        ("spark = 1; spark", set()),
        ("import sc; sc.x", set()),
        ("import a.b as spark; spark.x", set()),
        ("from a import spark; spark.x", set()),
        ("for sc in range(3): print(sc)", {"range", "print"}),
        ("try: pass\nexcept OSError as sc: print(sc)", {"OSError", "print"}),
        ("def spark(): pass\nspark()", set()),
        ("class spark: pass\nspark()", set()),
        ("[x for x in y if (sc := x)]; sc", {"y"}),
        ("del spark", set()),
        ("spark.stop()", set()),
        ("spark.stop(); spark.range(3)", {"spark"}),
        ("'spark'", set()),
        ("other.spark", {"other"}),
        ("spark = SparkSession.builder.appName('x'); sc.range(3)", set()),
        ("from pyspark.sql import SparkSession\nsc.range(3)", set()),
        ("make = pyspark.SparkContext; sc", set()),
        ("builder.getOrCreate(); sc", set()),
        ("await spark", {"spark"}),
    ],
)
def test_what_a_cell_uses(cell: str, found: set[str]) -> None:
    assert uses(ast.parse(cell)) == found


class Maker:
    """Makes what the names stand for."""

    context = None

    def make(self) -> dict[str, Any]:
        raise AssertionError


@pytest.fixture
def names() -> LazyNames:
    made = LazyNames({})
    made.define(Maker())
    return made


def transformed(names: LazyNames, cell: str) -> list[str]:
    tree = UseFinder(names).visit(ast.parse(cell))
    compile(tree, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return ast.unparse(tree).splitlines()


USE = "get_ipython().kernel.use_spark()"


def test_the_session_is_made_first(names: LazyNames) -> None:
    assert transformed(names, "x = 1\nspark") == [USE, "x = 1", "spark"]


def test_after_future_imports(names: LazyNames) -> None:
    assert transformed(names, "from __future__ import annotations\nspark")[1] == USE


def test_names_that_are_made(names: LazyNames) -> None:
    names.namespace["spark"] = object()
    assert transformed(names, "spark") == ["spark"]
    assert transformed(names, "spark; sc")[0] == USE


def test_no_cell(names: LazyNames) -> None:
    assert transformed(names, "") == []
    assert transformed(names, "x = 1") == ["x = 1"]
