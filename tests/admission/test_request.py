from __future__ import annotations

from dataclasses import fields

import pytest

from kg2at_personality.admission.request import CORES, MEMORY, RequestBounds, requested_properties
from kg2at_personality.errors import OutOfBounds, RequestError
from kg2at_personality.settings import Settings

NAMES = {**CORES, **MEMORY}
BOUNDS = RequestBounds(cores=8, executor_cores=4, executor_memory="4g", driver_memory="2048")


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("KERNEL_SPARK_CORES_MAX", "8", "spark.cores.max", "8"),
        ("KERNEL_SPARK_CORES_MAX", " 007 ", "spark.cores.max", "7"),
        ("KERNEL_SPARK_EXECUTOR_CORES", "4", "spark.executor.cores", "4"),
        ("KERNEL_SPARK_EXECUTOR_MEMORY", "4g", "spark.executor.memory", "4096m"),
        ("KERNEL_SPARK_EXECUTOR_MEMORY", "512", "spark.executor.memory", "512m"),
        ("KERNEL_SPARK_EXECUTOR_MEMORY", "512mb", "spark.executor.memory", "512m"),
        ("KERNEL_SPARK_DRIVER_MEMORY", " 2G ", "spark.driver.memory", "2048m"),
        ("KERNEL_SPARK_DRIVER_MEMORY", "1048576k", "spark.driver.memory", "1024m"),
    ],
)
def test_up_to_its_bound_a_request_gets_what_it_asks(name: str, text: str, key: str, value: str) -> None:
    assert requested_properties({name: text}, BOUNDS) == {key: value}


@pytest.mark.parametrize(
    ("name", "text", "trait", "bound"),
    [
        ("KERNEL_SPARK_CORES_MAX", "9", "max_cores_per_kernel", "8"),
        ("KERNEL_SPARK_EXECUTOR_CORES", "5", "max_executor_cores", "4"),
        ("KERNEL_SPARK_EXECUTOR_MEMORY", "4097m", "max_executor_memory", "4g"),
        ("KERNEL_SPARK_EXECUTOR_MEMORY", "1t", "max_executor_memory", "4g"),
        ("KERNEL_SPARK_DRIVER_MEMORY", "2049", "max_driver_memory", "2048"),
    ],
)
def test_above_it_the_answer_names_the_bound(name: str, text: str, trait: str, bound: str) -> None:
    with pytest.raises(OutOfBounds) as caught:
        requested_properties({name: text}, BOUNDS)
    assert caught.value.status == 400
    assert all(part in str(caught.value) for part in (f"{name}={text}", f" {bound} ", f"({trait})")), caught.value


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("text", ["", " ", "0", "-1", "+1", "1.5", "lots", "1_000", "٣", "1e3", "2 cores"])
def test_what_is_no_number_of_cores(name: str, text: str) -> None:
    with pytest.raises(RequestError, match="whole number of cores") as caught:
        requested_properties({name: text}, RequestBounds())
    assert name in str(caught.value) and caught.value.status == 400


@pytest.mark.parametrize("name", MEMORY)
@pytest.mark.parametrize("text", ["", "lots", "-1g", "1.5g", "1x", "99999999999999p", "0", "1023k", "0g", "5b"])
def test_what_is_no_size(name: str, text: str) -> None:
    with pytest.raises(RequestError) as caught:
        requested_properties({name: text}, RequestBounds())
    assert name in str(caught.value) and not isinstance(caught.value, OutOfBounds)


@pytest.mark.parametrize("name", MEMORY)
def test_less_than_spark_needs_is_the_requests_fault(name: str) -> None:
    for text in ("449m", "100m", "0"):
        with pytest.raises(RequestError, match=f"{name} must be at least 450m") as caught:
            requested_properties({name: text}, RequestBounds())
        assert caught.value.status == 400
    assert requested_properties({name: "450m"}, RequestBounds()) == {MEMORY[name]: "450m"}


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("bounds", [BOUNDS, RequestBounds()], ids=["bounded", "free"])
@pytest.mark.parametrize(
    "text",
    [str(2**31), "9" * 20, "9" * 5000, "0" * 11 + "1" + "9" * 20, "0" * 11 + "1" * 5000],
    ids=["int", "long", "huge", "zeros", "zeros-huge"],
)
def test_a_number_of_very_many_digits_is_an_answer_too(name: str, bounds: RequestBounds, text: str) -> None:
    """Python's int() refuses more than 4300 digits, Spark more than 2^31-1."""
    with pytest.raises(RequestError, match=name):
        requested_properties({name: text}, bounds)


@pytest.mark.parametrize("name", MEMORY)
def test_a_size_of_very_many_digits_is_an_answer_too(name: str) -> None:
    with pytest.raises(RequestError, match=name):
        requested_properties({name: "9" * 5000 + "m"}, RequestBounds())


def test_without_a_bound_any_size_goes() -> None:
    asked = {"KERNEL_SPARK_CORES_MAX": "100000", "KERNEL_SPARK_DRIVER_MEMORY": "1t"}
    assert requested_properties(asked, RequestBounds()) == {
        "spark.cores.max": "100000",
        "spark.driver.memory": "1048576m",
    }


def test_nothing_asked_nothing_set() -> None:
    assert requested_properties({"KERNEL_SPARK_JARS": "evil.jar", "SPARK_CORES_MAX": "99", "PATH": "/"}, BOUNDS) == {}


def test_all_at_once() -> None:
    asked = dict(zip(NAMES, ("2", "1", "1g", "1g"), strict=True))
    assert requested_properties(asked, BOUNDS).keys() == set(NAMES.values())


def test_each_bound_is_a_setting() -> None:
    traits = {RequestBounds().of(key)[0] for key in NAMES.values()}
    assert len(traits) == len(fields(RequestBounds)) == 4
    assert traits <= set(Settings.class_trait_names(config=True))
