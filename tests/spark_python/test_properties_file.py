"""The properties file: read and added to as Java reads it."""

from __future__ import annotations

import os
from pathlib import Path

import javaproperties
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg2at_personality.spark_python.properties_file import PropertiesFile

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
ENTRIES = st.dictionaries(TEXT.filter(bool), TEXT, max_size=5)


def file_of(path: Path) -> PropertiesFile:
    return PropertiesFile.of({"PYSPARK_SUBMIT_ARGS": f"--properties-file '{path}' pyspark-shell"})


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a name with blanks")


@given(ENTRIES, ENTRIES)
def test_round_trip(directory: Path, admitted: dict[str, str], added: dict[str, str]) -> None:
    path = directory / "file"
    path.write_text(javaproperties.dumps(admitted, timestamp=False, ensure_ascii=True), encoding="ascii")
    made = file_of(path)
    assert made.admitted == admitted
    made.add(added)
    content = path.read_bytes()
    assert content.isascii() and javaproperties.loads(content.decode()) == {**admitted, **added}
    assert file_of(path).admitted == {**admitted, **added}


def test_what_is_added_goes_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a=1\n")
    made = file_of(path)
    made.add({"b": "2"})
    made.add({"a": "3"})
    assert javaproperties.loads(path.read_text()) == {"a": "3"}


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a=1\n")
    path.chmod(0o600)
    before = os.umask(0)
    try:
        file_of(path).add({"b": "2"})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600 and os.listdir(tmp_path) == ["file"]


def test_comments_and_long_lines(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("# no\n! no\n\n a : 1\nb c\nd=x\\\n   y\nempty\n")
    assert file_of(path).admitted == {"a": "1", "b": "c", "d": "xy", "empty": ""}


def test_without_a_file() -> None:
    made = PropertiesFile.of({})
    made.add({"a": "1"})
    assert made.admitted == {} and made.path is None
