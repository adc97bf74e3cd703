"""What holds for every application, also of a user's own making."""

from __future__ import annotations

from kg2at_personality.spark_python.application_rules import ApplicationRules

ADMITTED = {"spark.master": "spark://m:7077", "spark.cores.max": "2", "spark.executor.memory": "1g", "spark.x": "y"}
RULES = ApplicationRules("id-1", ADMITTED)


class Conf(dict[str, str]):
    """The part of the JVM's SparkConf that is used, with Java's names."""

    def toDebugString(self) -> str:
        return "\n".join(f"{key}={value}" for key, value in sorted(self.items()))

    def set(self, key: str, value: str) -> None:
        self[key] = value

    def remove(self, key: str) -> None:
        del self[key]


def test_the_name_carries_the_id() -> None:
    assert RULES.name("mine") == "mine id-1"
    assert RULES.name("mine id-1") == "mine id-1"
    assert ApplicationRules("", {}).name("mine") == "mine"


def test_sizes_stay() -> None:
    conf = Conf(ADMITTED | {"spark.app.name": "a", "spark.cores.max": "9", "spark.dynamicAllocation.enabled": "true"})
    [sentence] = RULES.apply(conf)
    assert conf == ADMITTED | {"spark.app.name": "a id-1"}
    assert sentence.startswith(
        "spark.cores.max stays 2, not 9; spark.dynamicAllocation.enabled stays unset, not true: a kernel keeps"
    )
    assert "KERNEL_SPARK_*" in sentence


def test_the_rest_is_the_users() -> None:
    conf = Conf(ADMITTED | {"spark.x": "z", "spark.driver.memory": "3g", "spark.executor.memoryOverhead": "1g"})
    assert RULES.apply(conf) == []
    assert conf["spark.x"] == "z" and conf["spark.executor.memoryOverhead"] == "1g"


def test_another_master() -> None:
    conf = Conf({"spark.master": "local[4]", "spark.cores.max": "9", "spark.app.name": "a"})
    assert RULES.apply(conf) == ["This session runs on local[4], not on the kernel's spark://m:7077."]
    assert conf["spark.cores.max"] == "9" and conf["spark.app.name"] == "a id-1"


def test_without_a_cluster() -> None:
    conf = Conf({"spark.master": "local[4]", "spark.cores.max": "9"})
    assert ApplicationRules("id-1", {}).apply(conf) == [] and conf["spark.cores.max"] == "9"


def test_what_the_jvm_is_launched_with() -> None:
    wanted = {"spark.cores.max": "9", "spark.driver.memory": "3g", "spark.executor.memory": "1g"}
    assert RULES.for_launch(wanted) == {"spark.driver.memory": "3g", "spark.executor.memory": "1g"}
    elsewhere = wanted | {"spark.master": "local[4]"}
    assert RULES.for_launch(elsewhere) == elsewhere
