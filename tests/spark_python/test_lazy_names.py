"""The names while there is no session, and after."""

from __future__ import annotations

import pickle
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from kg2at_personality.spark_python.lazy_names import CLASSES, LazyName, LazyNames, is_lazy


class Context:
    version = "3"

    def stop(self) -> str:
        return "stopped"


class Session:
    """A session, as far as the names go."""

    def __init__(self, context: Context) -> None:
        self._sc = context

    def __enter__(self) -> str:
        return "inside"

    def __exit__(self, *error: object) -> None:
        self.left = True

    def __getnewargs__(self) -> None:
        raise RuntimeError("only on the driver")


class Maker:
    """Makes a session and counts how often."""

    def __init__(self, names: LazyNames) -> None:
        self.names, self.count, self.context = names, 0, None

    def make(self) -> dict[str, Any]:
        self.count += 1
        self.context: Any = self.context or Context()
        objects = {"spark": Session(self.context), "sc": self.context, "sqlContext": Session(self.context)}
        self.names.fill(objects)
        return objects


@pytest.fixture
def names() -> LazyNames:
    return LazyNames({})


@pytest.fixture
def maker(names: LazyNames) -> Maker:
    made = Maker(names)
    names.define(made)
    return made


def test_looking_makes_nothing(names: LazyNames, maker: Maker) -> None:
    spark = names.namespace["spark"]
    assert repr(spark) == "<SparkSession that is made when it is first used>"
    assert not hasattr(spark, "_repr_html_") and not hasattr(spark, "_ipython_display_")
    assert not hasattr(spark, "__len__") and is_lazy(spark) and not is_lazy(1)
    assert maker.count == 0 and names.unmade == list(CLASSES)


def test_a_use_makes_all(names: LazyNames, maker: Maker) -> None:
    lazy = names.namespace["sc"]
    assert lazy.version == "3" and maker.count == 1
    assert names.namespace["sc"] is maker.context and not names.unmade
    assert lazy.stop() == "stopped"  # who has kept it comes to the real object


def test_attributes_and_with(names: LazyNames, maker: Maker) -> None:
    names.namespace["sc"].level = "WARN"
    assert maker.context.level == "WARN"
    lazy = names.namespace["spark"] = LazyName("spark", maker)
    with lazy as entered:
        assert entered == "inside"
    del LazyName("sc", maker).level
    assert not hasattr(maker.context, "level")


def test_stop_starts_nothing(names: LazyNames, maker: Maker) -> None:
    names.namespace["spark"].stop()
    assert maker.count == 0


def test_pickling_says_what_the_real_object_says(names: LazyNames, maker: Maker) -> None:
    with pytest.raises(RuntimeError, match="only on the driver"):
        pickle.dumps(names.namespace["spark"])


def test_what_a_cell_has_assigned_stays(names: LazyNames, maker: Maker) -> None:
    names.namespace["sc"] = 5
    maker.make()
    assert names.namespace["sc"] == 5
    names.forget(maker.context)
    assert names.namespace["sc"] == 5 and names.unmade == ["spark", "sqlContext"]


def test_a_stopped_context_is_forgotten(names: LazyNames, maker: Maker) -> None:
    maker.make()
    names.forget(Context())
    assert not names.unmade
    names.namespace["spark"] = Session(maker.context)  # another session of the same
    names.forget(maker.context)
    assert names.unmade == list(CLASSES)


class TestWithPyspark:
    """What needs the real classes."""

    @pytest.fixture(autouse=True)
    def pyspark(self) -> Any:
        return pytest.importorskip("pyspark.sql")

    def test_classes(self, names: LazyNames, maker: Maker, pyspark: Any) -> None:
        assert isinstance(names.namespace["spark"], pyspark.SparkSession)
        assert not isinstance(names.namespace["sc"], pyspark.SparkSession)
        assert {"range", "sql", "createDataFrame"} <= set(dir(names.namespace["spark"]))
        assert maker.count == 0

    def test_blanks(self, names: LazyNames, maker: Maker, pyspark: Any) -> None:
        with names.blank("spark.range?"):
            assert type(names.namespace["spark"]) is pyspark.SparkSession
            assert is_lazy(names.namespace["sc"])
            names.namespace["sc"] = 1
        assert is_lazy(names.namespace["spark"]) and names.namespace["sc"] == 1 and maker.count == 0

    def test_no_blanks_beside_a_cell(self, names: LazyNames, maker: Maker) -> None:
        seen = SimpleNamespace()

        def look() -> None:
            with names.blank("spark"):
                seen.is_lazy = is_lazy(names.namespace["spark"])

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert seen.is_lazy


def test_no_blanks_for_other_names(names: LazyNames, maker: Maker) -> None:
    with names.blank("sparkling(x)"):
        assert is_lazy(names.namespace["spark"])
