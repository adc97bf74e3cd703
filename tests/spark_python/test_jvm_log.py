"""What is told of a JVM that ended at its start."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg2at_personality.spark_python.jvm_log import JvmLog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kernel-1.log"


@pytest.fixture
def log(path: Path) -> JvmLog:
    path.write_text("a banner\n")
    made = JvmLog(str(path.with_suffix(".properties")), {"spark.my.password": "swordfish", "spark.a": "plain"})
    made.begin()
    return made


def test_what_it_printed_is_told_without_secrets(log: JvmLog, path: Path) -> None:
    with path.open("a") as file:
        file.write("no /no/such.jar\n\nfor -Dmy.option=shark of swordfish, plain\n")
    assert log.last_lines() == "no /no/such.jar\nfor -Dmy.option=*** of ***, plain"


def test_of_much_the_end(log: JvmLog, path: Path) -> None:
    with path.open("a") as file:
        file.writelines(f"{number}\n" for number in range(100_000))
    assert log.last_lines().split() == [str(number) for number in range(99_990, 100_000)]


def test_nothing(log: JvmLog, path: Path) -> None:
    assert log.last_lines() == ""
    path.unlink()
    assert log.last_lines() == "" and JvmLog(None, {}).last_lines() == ""


def test_a_log_that_was_cut(log: JvmLog, path: Path) -> None:
    path.write_text("end\n")
    assert log.last_lines() == "end"
