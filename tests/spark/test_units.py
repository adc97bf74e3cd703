from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg2at_personality.spark.units import mib, parse_size, parse_time, readable_size, spark_size

SIZES = {
    "1": 2**20,
    "512m": 512 * 2**20,
    "512MB": 512 * 2**20,
    "2g": 2**31,
    "2Gb": 2**31,
    " 3k ": 3072,
    "3kb": 3072,
    "7b": 7,
    "1t": 2**40,
    "1tb": 2**40,
    "1p": 2**50,
    "8191pb": 8191 * 2**50,
    "007m": 7 * 2**20,
    "\t1g\x01": 2**30,
    "\xa01g": None,
    "0": 0,
    "8192p": None,
    "1.5g": None,
    "1.5": None,
    "-1": None,
    "+1": None,
    "": None,
    "g": None,
    "1 g": None,
    "1x": None,
    "1e3": None,
    "1_000": None,
    "\u0661m": None,
    "1ki": None,
}
TIMES = {
    "90": 90.0,
    "90s": 90.0,
    "1500ms": 1.5,
    "250us": 0.00025,
    "3m": 180.0,
    "3MIN": 180.0,
    "2h": 7200.0,
    "1d": 86400.0,
    " 5s ": 5.0,
    "-1": -1.0,
    "-1s": -1.0,
    "1.5s": None,
    "": None,
    "s": None,
    "5 s": None,
    "5x": None,
    "+5s": None,
    "5sec": None,
    "99999999999999999999s": None,
}


@pytest.mark.parametrize("text", SIZES)
def test_sizes(text: str) -> None:
    expected = SIZES[text]
    if expected is None:
        with pytest.raises(ValueError, match="is not a size: ") as caught:
            parse_size(text)
        assert str(caught.value).startswith(repr(text))
    else:
        assert parse_size(text) == expected


def test_default_unit_of_a_size() -> None:
    assert parse_size("3", "b") == 3
    assert parse_size("3k", "b") == 3072


def test_fraction_comes_with_sparks_advice() -> None:
    with pytest.raises(ValueError, match="takes no fractions"):
        parse_size("1.5g")


def test_mib_rounds_down() -> None:
    assert (mib("1023k"), mib("1025k"), mib("2g"), mib("3")) == (0, 1, 2048, 3)


@given(st.integers(0, 2**33), st.sampled_from(["k", "kb", "K", "m", "MB", "g", "t"]))
def test_mib_is_the_size_cut_to_mib(number: int, unit: str) -> None:
    power = "kmgt".index(unit[0].lower()) + 1
    if number * 1024**power < 2**63:
        assert mib(f"{number}{unit}") == number * 1024**power // 2**20


@pytest.mark.parametrize("text", TIMES)
def test_times(text: str) -> None:
    expected = TIMES[text]
    if expected is None:
        with pytest.raises(ValueError, match="is not a time: "):
            parse_time(text)
    else:
        assert parse_time(text) == pytest.approx(expected)


def test_default_unit_of_a_time() -> None:
    assert parse_time("1500", "ms") == 1.5


@pytest.mark.e2e
def test_sizes_as_spark_reads_them(spark_jvm: Any) -> None:
    from py4j.protocol import Py4JJavaError

    utils = spark_jvm.org.apache.spark.network.util.JavaUtils
    mebibytes = spark_jvm.org.apache.spark.network.util.ByteUnit.MiB
    for text, expected in SIZES.items():
        if expected is None:
            with pytest.raises(Py4JJavaError):
                utils.byteStringAsBytes(text)
        else:
            assert utils.byteStringAs(text, mebibytes) == mib(text), text


@pytest.mark.e2e
def test_times_as_spark_reads_them(spark_jvm: Any) -> None:
    from py4j.protocol import Py4JJavaError

    utils = spark_jvm.org.apache.spark.network.util.JavaUtils
    microseconds = spark_jvm.java.util.concurrent.TimeUnit.MICROSECONDS
    for text, expected in TIMES.items():
        if expected is None:
            with pytest.raises(Py4JJavaError):
                utils.timeStringAs(text, microseconds)
        else:
            with_unit = text if text.strip()[-1].isalpha() else f"{text}s"
            assert utils.timeStringAs(with_unit, microseconds) == round(parse_time(text) * 1e6), text


@pytest.mark.parametrize(
    ("mebibytes", "short", "long"),
    [
        (512, "512m", "512 MiB"),
        (1024, "1g", "1 GiB"),
        (1536, "1536m", "1.5 GiB"),
        (1792, "1792m", "1.75 GiB"),
        (1100, "1100m", "1100 MiB"),
        (4096, "4g", "4 GiB"),
    ],
)
def test_sizes_are_written_for_spark_and_for_people(mebibytes: int, short: str, long: str) -> None:
    assert (spark_size(mebibytes), readable_size(mebibytes)) == (short, long)
    assert mib(short) == mebibytes
