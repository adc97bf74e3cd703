from __future__ import annotations

import pytest

from kg2at_personality.admission.request import executors_of
from kg2at_personality.spark.conf import SparkConf, SparkConfReader
from kg2at_personality.spark.idle_cores import IdleCores

NAME = "spark.dynamicAllocation."
STANDALONE = {"spark.master": "spark://m:7077", "spark.cores.max": "4", "spark.executor.cores": "2"}


def conf(**changes: str) -> SparkConf:
    """A configuration on a standalone master; `changes` by the last parts of names below spark.dynamicAllocation."""
    return SparkConfReader(overrides=STANDALONE | {f"{NAME}{key}": value for key, value in changes.items()}).read({})


def dynamic(made: SparkConf) -> dict[str, str]:
    return {key.removeprefix(NAME): value for key, value in made.items() if key.startswith(NAME)}


OURS = {
    "enabled": "true",
    "minExecutors": "0",
    "initialExecutors": "2",
    "maxExecutors": "2",
    "executorIdleTimeout": "60s",
    "shuffleTracking.enabled": "true",
    "shuffleTracking.timeout": "60s",
}


def test_an_application_starts_as_large_as_without_and_may_shrink_to_nothing() -> None:
    made = IdleCores(60).applied(conf(), "3.5.9")
    assert dynamic(made) == OURS
    assert made.entry(f"{NAME}enabled").where == "idle_cores_timeout"
    before, after = executors_of(conf()), executors_of(made)
    assert before is not None and after is not None
    assert (after.rounds * after.size, after.initial_executors) == (before.rounds * before.size, 2)


def test_cached_data_stays_unless_somebody_says_for_how_long() -> None:
    assert dynamic(IdleCores(60, 600).applied(conf(), "3.5.9")) == OURS | {"cachedExecutorIdleTimeout": "600s"}


def test_executors_of_no_size_may_be_of_one_core_each() -> None:
    values = {"spark.master": "spark://m:7077", "spark.cores.max": "5"}
    made = IdleCores(60).applied(SparkConfReader(overrides=values).read({}), "3.5.9")
    assert made[f"{NAME}maxExecutors"] == made[f"{NAME}initialExecutors"] == "5"


@pytest.mark.parametrize(
    ("cores", "size", "count"), [("5", "2", "2"), ("1", "2", "1"), (str(2**31 - 1), "1", "1000000")]
)
def test_their_number_is_one_that_spark_takes(cores: str, size: str, count: str) -> None:
    values = STANDALONE | {"spark.cores.max": cores, "spark.executor.cores": size}
    assert IdleCores(60).applied(SparkConfReader(overrides=values).read({}), "3.5.9")[f"{NAME}maxExecutors"] == count


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_a_choice_of_the_administrators_or_the_clients_stands(enabled: str) -> None:
    chosen = conf(enabled=enabled)
    assert IdleCores(60).applied(chosen, "3.5.9") is chosen


def test_each_single_one_as_well() -> None:
    mine = {"minExecutors": "3", "executorIdleTimeout": "7s", "shuffleTracking.timeout": "1h"}
    made = dynamic(IdleCores(60).applied(conf(**mine), "3.5.9"))
    assert made == OURS | mine | {"initialExecutors": "3", "maxExecutors": "3"}, (
        "Spark refuses a maximum below the minimum"
    )


def test_it_starts_with_no_more_than_a_maximum_that_is_set() -> None:
    assert dynamic(IdleCores(60).applied(conf(maxExecutors="1"), "3.5.9"))["initialExecutors"] == "1"


def test_an_external_shuffle_service_needs_no_tracking() -> None:
    with_service = SparkConfReader(overrides=STANDALONE | {"spark.shuffle.service.enabled": "true"}).read({})
    made = dynamic(IdleCores(60).applied(with_service, "3.5.9"))
    assert made == {key: value for key, value in OURS.items() if not key.startswith("shuffle")}


@pytest.mark.parametrize("version", ["2.4.8", "", "unknown"])
def test_an_older_spark_is_left_alone_and_that_is_said(version: str) -> None:
    older = conf()
    assert IdleCores(60).applied(older, version) is older
    assert "from Spark 3.0 on" in IdleCores(60).problem(version)
    assert IdleCores(0).problem(version) == ""


@pytest.mark.parametrize("version", ["3.0.0", "3.5.9", "4.0.1", "10.0"])
def test_nothing_is_said_of_a_newer_one(version: str) -> None:
    assert IdleCores(60).problem(version) == "" and IdleCores(60).applied(conf(), version) != conf()


def test_nothing_is_done_without_the_setting_or_away_from_a_standalone_master() -> None:
    plain, local = conf(), SparkConfReader(overrides={"spark.master": "local[4]"}).read({})
    assert IdleCores(0, 600).applied(plain, "3.5.9") is plain
    assert IdleCores(60).applied(local, "3.5.9") is local
