from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import javaproperties
import pytest

from kg2at_personality.kernels.files import KernelFiles
from kg2at_personality.system.private_file import temporary


@pytest.fixture
def files(tmp_path: Path) -> KernelFiles:
    return KernelFiles(str(tmp_path / "kernel-1-2.json"))


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def _all(files: KernelFiles) -> list[Path]:
    return [files.properties, files.java_options, files.submit_options, files.report, files.log]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_they_stand_beside_the_connection_file(files: KernelFiles, tmp_path: Path) -> None:
    names = [path.relative_to(tmp_path).name for path in _all(files)]
    suffixes = ("properties", "javaopts", "submitopts", "report", "log")
    assert names == [f"kernel-1-2.{suffix}" for suffix in suffixes]


@pytest.mark.usefixtures("open_umask")
def test_they_are_private_from_their_first_byte(files: KernelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = os.open, []

    def spy(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        fd = real(path, flags, *args, **kwargs)
        seen.append((os.fstat(fd).st_mode & 0o777, os.fstat(fd).st_size))
        return fd

    monkeypatch.setattr(os, "open", spy)
    files.write_properties({"spark.secret": "x"}, "ascii")
    files.write_java_options('"-Dpassword=x"\n')
    files.empty_report()
    files.open_log().close()
    assert seen == [(0o600, 0)] * 4
    assert {mode(path) for path in (files.properties, files.java_options, files.report, files.log)} == {0o600}


def test_a_reader_sees_the_old_file_or_the_new_one_whole(files: KernelFiles) -> None:
    files.write_properties({"a": "old"}, "ascii")
    with open(files.properties) as reader:
        files.write_properties({"a": "new"}, "ascii")
        assert javaproperties.load(reader) == {"a": "old"}
    assert javaproperties.loads(files.properties.read_text()) == {"a": "new"}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside(
    files: KernelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_properties({"a": "old"}, "ascii")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_properties({"a": "new"}, "ascii")
    assert [path.name for path in tmp_path.iterdir()] == ["kernel-1-2.properties"]
    assert "old" in files.properties.read_text()


def test_a_link_laid_in_the_way_is_not_followed(files: KernelFiles, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    files.properties.with_name(files.properties.name + ".new").symlink_to(victim)
    files.properties.symlink_to(victim)
    files.write_properties({"a": "b"}, "ascii")
    assert victim.read_text() == "precious" and not files.properties.is_symlink()


def test_properties_hold_no_time_and_only_ascii(files: KernelFiles) -> None:
    files.write_properties({"spark.ä": "€ 𝄞"}, "ascii")
    assert files.properties.read_bytes() == b"spark.\\u00e4=\\u20ac \\ud834\\udd1e\n"


def test_properties_in_ebcdic(files: KernelFiles) -> None:
    files.write_properties({"spark.a": "b"}, "cp1047")
    assert files.properties.read_bytes().decode("cp1047").strip() == "spark.a=b"


def test_no_java_options_no_file(files: KernelFiles) -> None:
    files.write_java_options("")
    assert not files.java_options.exists()


def test_no_java_options_any_more_no_file_any_more(files: KernelFiles) -> None:
    """A restart reads spark-defaults.conf afresh; the secret that is gone from there is gone from here."""
    files.write_java_options('"-Dpassword=hush"\n')
    files.write_java_options("")
    assert not files.java_options.exists()


class TestReport:
    def test_no_process_writes_into_the_file_of_the_next_one(self, files: KernelFiles) -> None:
        files.empty_report()
        with open(files.report, "r+b") as last_process:
            files.empty_report()
            last_process.write(b"late")
        assert files.report_content() == b""

    def test_what_is_read_of_it_is_bounded(self, files: KernelFiles) -> None:
        files.report.write_bytes(b" " * 100_000)
        assert len(files.report_content()) == 4096

    def test_what_would_never_end_is_not_waited_for(self, files: KernelFiles) -> None:
        os.mkfifo(files.report)
        assert files.report_content() == b""


class TestLog:
    def test_a_new_log_is_empty(self, files: KernelFiles) -> None:
        for _ in range(2):
            with files.open_log() as log:
                assert files.log.read_bytes() == b""
                log.write(b"said\n")

    def test_last_lines(self, files: KernelFiles) -> None:
        files.log.write_text("\n".join(["1", "", "2", "  ", "3", ""]))
        assert files.last_lines() == ["1", "2", "3"]
        assert files.last_lines(count=2) == ["2", "3"]
        assert files.last_lines(since=2) == ["2", "3"] and files.last_lines(since=files.log_size()) == []
        assert files.last_lines(since=99) == ["1", "2", "3"], "the log was cut"

    def test_last_lines_of_bytes_that_are_no_text(self, files: KernelFiles) -> None:
        files.log.write_bytes(b"caf\xe9\n")
        assert files.last_lines() == ["caf\N{REPLACEMENT CHARACTER}"]

    def test_last_lines_of_no_log(self, files: KernelFiles) -> None:
        assert files.last_lines() == []

    def test_last_lines_are_whole_lines(self, files: KernelFiles) -> None:
        """Half a line could be half a secret, which nobody recognises."""
        files.log.write_text(f"password is sword{'f' * 90}ish\nwent wrong\n")
        assert files.last_lines(limit=20) == ["went wrong"]


def test_removal(files: KernelFiles, tmp_path: Path) -> None:
    connection_file = Path(files.connection_file)
    connection_file.write_text("{}")
    files.write_properties({"a": "b"}, "ascii")
    files.write_java_options("x")
    files.empty_report()
    temporary(files.report).touch()
    files.open_log().close()
    for _ in range(2):
        files.remove()
        assert [path.name for path in tmp_path.iterdir()] == [connection_file.name]
