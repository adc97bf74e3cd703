"""The Java options of a notebook's own, which stand on no command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg2at_personality.spark_python.driver_options import KEY, DriverOptions


@pytest.fixture
def java(tmp_path: Path) -> Path:
    (tmp_path / "release").write_text('IMPLEMENTOR="X"\nJAVA_VERSION="17.0.15"\n')
    return tmp_path


def options(java: Path, admitted: str) -> DriverOptions:
    return DriverOptions(str(java / "kernel-1.properties"), {KEY: admitted} if admitted else {}, str(java))


@pytest.mark.parametrize("is_file", [False, True])
def test_they_come_after_the_kernels_own(java: Path, is_file: bool) -> None:
    file = java / "kernel-1.javaopts"
    file.write_text('"-Da=1"\n')
    made = options(java, f"@{file}" if is_file else "-Da=1")
    for _ in range(2):
        given = {KEY: """-Db='2 "3"' -Dc=\\\\d""", "spark.x": "y"}
        assert made.hidden(given) == {KEY: f"@{file}", "spark.x": "y"}
        assert file.read_text() == '"-Da=1"\n"-Db=2 \\"3\\""\n"-Dc=\\\\d"\n'
        assert file.stat().st_mode & 0o777 == 0o600


def test_none_need_no_file(java: Path) -> None:
    assert options(java, "-Da=1").hidden({"spark.x": "y"}) == {"spark.x": "y"}
    assert not (java / "kernel-1.javaopts").exists()


@pytest.mark.parametrize("version", ['JAVA_VERSION="1.8.0_402"', ""])
def test_java_8_takes_no_file(java: Path, version: str) -> None:
    (java / "release").write_text(version)
    assert options(java, "").hidden({KEY: "-Da=1"}) == {KEY: "-Da=1"}
