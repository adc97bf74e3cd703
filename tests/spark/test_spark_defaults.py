from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import javaproperties
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg2at_personality.errors import SparkConfError
from kg2at_personality.spark.spark_defaults import Defaults, detected_encoding, read_defaults

# A file's bytes, and what Spark reads from it.
FILES: dict[str, tuple[bytes, dict[str, str]]] = {
    "empty": (b"", {}),
    "blank": (b"spark.a 1\n", {"spark.a": "1"}),
    "equals": (b"spark.a=1\n", {"spark.a": "1"}),
    "colon": (b"spark.a : 1\n", {"spark.a": "1"}),
    "tab": (b"spark.a\t1\n", {"spark.a": "1"}),
    "form feed": (b"\fspark.a\f1\n", {"spark.a": "1"}),
    "no end of line": (b"spark.a 1", {"spark.a": "1"}),
    "crlf": (b"spark.a 1\r\nspark.b 2\r\n", {"spark.a": "1", "spark.b": "2"}),
    "cr": (b"spark.a 1\rspark.b 2\r", {"spark.a": "1", "spark.b": "2"}),
    "comments": (b"# x=1\n  ! spark.b 2\nspark.a 1 # no comment\n", {"spark.a": "1 # no comment"}),
    "blanks in the value": (b"spark.a  -Dx=1  -Dy='a b' \t\n", {"spark.a": "-Dx=1  -Dy='a b'"}),
    "second separator": (b"spark.a = : = 1\n", {"spark.a": ": = 1"}),
    "continuation": (b"spark.a one,\\\n   two,\\\n#three\n", {"spark.a": "one,two,#three"}),
    "continued key": (b"spark.\\\n  a 1\n", {"spark.a": "1"}),
    "even backslashes": (b"spark.a C:\\\\\nspark.b 2\n", {"spark.a": "C:\\", "spark.b": "2"}),
    "single backslash": (b"spark.a C:\\dir\\file\n", {"spark.a": "C:dir\x0cile"}),
    "trailing backslash": (b"spark.a 1\\", {"spark.a": "1"}),
    "duplicate": (b"spark.a 1\nspark.b 2\nspark.a 3\n", {"spark.a": "3", "spark.b": "2"}),
    "no value": (b"spark.a\nspark.b=\n", {"spark.a": "", "spark.b": ""}),
    "only blanks": (b"   \n\t\nspark.a 1\n", {"spark.a": "1"}),
    "unicode escape": (b"spark.a \\u0041\\u00e9\\uD83D\\uDE00\n", {"spark.a": "A\xe9\U0001f600"}),
    "escaped separators": (b"spark\\ a\\=b\\:c 1\n", {"spark a=b:c": "1"}),
    "escaped blanks are trimmed": (b"spark.a \\ \\t1\\u00202 \\t\n", {"spark.a": "1 2"}),
    "line ends are not trimmed": (b"spark.a \\n 1 \\r\\n \n", {"spark.a": "\n 1 \r\n"}),
    "nothing but escaped blanks": (b"spark.a \\ \\t\n", {"spark.a": ""}),
    "no-break space is not trimmed": ("spark.a \xa01\xa0\n".encode(), {"spark.a": "\xa01\xa0"}),
    "utf-8": ("spark.a é€😀\n".encode(), {"spark.a": "é€😀"}),
    "nel and friends are no line ends": ("spark.a x\x85y\u2028z\x0bw\n".encode(), {"spark.a": "x\x85y\u2028z\x0bw"}),
    "other keys": (b"hadoop.x 1\nspark.a 2\nsparkle 3\n", {"hadoop.x": "1", "spark.a": "2", "sparkle": "3"}),
    "quotes": (b"spark.a \"x y\"\n", {"spark.a": '"x y"'}),
    "dollar": (b"spark.a ${spark.b}$HOME`ls`\n", {"spark.a": "${spark.b}$HOME`ls`"}),
}  # fmt: skip


def read(tmp_path: Path, data: bytes, encoding: str | None = None) -> Defaults:
    path = tmp_path / "spark-defaults.conf"
    path.write_bytes(data)
    return read_defaults(str(path), encoding)


def values(defaults: Defaults) -> dict[str, str]:
    return {entry.key: entry.value for entry in defaults.entries}


@pytest.mark.parametrize("name", FILES)
def test_files(tmp_path: Path, name: str) -> None:
    data, expected = FILES[name]
    defaults = read(tmp_path, data)
    assert values(defaults) == expected
    assert defaults.encoding == "utf-8"


@pytest.mark.e2e
def test_files_as_spark_reads_them(spark_jvm: Any, tmp_path: Path) -> None:
    for name, (data, expected) in FILES.items():
        path = tmp_path / "spark-defaults.conf"
        path.write_bytes(data)
        entries = spark_jvm.org.apache.spark.util.Utils.getPropertiesFromFile(str(path)).toSeq()
        assert {entries.apply(i)._1(): entries.apply(i)._2() for i in range(entries.size())} == expected, name


@pytest.mark.e2e
def test_a_bad_escape_fails_in_spark_too(spark_jvm: Any, tmp_path: Path) -> None:
    from py4j.protocol import Py4JJavaError

    path = tmp_path / "spark-defaults.conf"
    path.write_bytes(b"spark.a \\u00zz\n")
    with pytest.raises(Py4JJavaError, match="uxxxx encoding"):
        spark_jvm.org.apache.spark.util.Utils.getPropertiesFromFile(str(path))


# EBCDIC. Spark reads UTF-8 only, so the table's own text is what it would read after `iconv`.

ASCII_FILES = [name for name, (data, _) in FILES.items() if data.isascii() and b"spark." in data]
NEL, LF, CRLF = b"\x15", b"\x25", b"\x0d\x15"


@pytest.mark.parametrize("end", [NEL, LF, CRLF])
@pytest.mark.parametrize("name", ASCII_FILES)
def test_files_in_ebcdic(tmp_path: Path, name: str, end: bytes) -> None:
    data, expected = FILES[name]
    defaults = read(tmp_path, data.decode().replace("\r\n", "\n").encode("cp1047").replace(b"\x25", end))
    assert values(defaults) == expected
    assert defaults.encoding == "cp1047"


def test_ebcdic_lines_are_counted(tmp_path: Path) -> None:
    defaults = read(tmp_path, "# x\n\nspark.a 1\nspark.b 2".encode("cp1047").replace(b"\x25", NEL))
    assert [entry.line for entry in defaults.entries] == [3, 4]


def test_ebcdic_padded_to_fixed_records(tmp_path: Path) -> None:
    text = "".join(f"{line:<80}\n" for line in ["# settings", "spark.a 1", "spark.b two words"])
    assert values(read(tmp_path, text.encode("cp1047"))) == {"spark.a": "1", "spark.b": "two words"}


def test_ebcdic_comments_alone_are_told() -> None:
    assert detected_encoding("# Default system properties\n".encode("cp1047")) == "cp1047"


def test_latin_1_is_not_taken_for_ebcdic(tmp_path: Path) -> None:
    with pytest.raises(SparkConfError, match=r"spark-defaults.conf, line 2: it isn't utf-8") as caught:
        read(tmp_path, "spark.a 1\nspark.b é\n".encode("latin-1"))
    assert caught.value.where.endswith("spark-defaults.conf, line 2")


def test_latin_1_comments_are_not_taken_for_ebcdic() -> None:
    assert detected_encoding("# Schlüssel\n".encode("latin-1")) == "utf-8"


LATIN_1_COMMENTS = "# Schlüssel\nspark.a 1\n  ! für alle: é\nspark.b 2 # kein Kommentar\n"


@pytest.mark.parametrize("encoding", [None, "utf-8", "ascii"])
def test_a_comment_never_stops_the_gateway(tmp_path: Path, encoding: str | None) -> None:
    defaults = read(tmp_path, LATIN_1_COMMENTS.encode("latin-1"), encoding)
    assert values(defaults) == {"spark.a": "1", "spark.b": "2 # kein Kommentar"}
    assert [entry.line for entry in defaults.entries] == [2, 4]


@pytest.mark.e2e
def test_spark_reads_on_after_such_comments(spark_jvm: Any, tmp_path: Path) -> None:
    path = tmp_path / "spark-defaults.conf"
    path.write_bytes(LATIN_1_COMMENTS.encode("latin-1"))
    assert spark_jvm.org.apache.spark.util.Utils.getPropertiesFromFile(str(path)).size() == 2


@pytest.mark.parametrize("line", ["spark.b é", "spark.é 1", "spark.b one,\\\n  é", "b é"])
def test_a_value_that_is_not_decodable_names_the_setting(tmp_path: Path, line: str) -> None:
    problem = r"line 3: it isn't utf-8: byte 0xe9 \(set KG2ATPersonality.spark_defaults_encoding"
    with pytest.raises(SparkConfError, match=problem):
        read(tmp_path, f"# é\nspark.a 1\n{line}\n".encode("latin-1"))


def test_half_a_surrogate_pair_as_an_escape_is_no_undecodable_byte(tmp_path: Path) -> None:
    assert values(read(tmp_path, b"spark.a \\udc80\n")) == {"spark.a": "\udc80"}


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_told_as_such(tmp_path: Path, codec: str) -> None:
    data = "# a comment\nspark.a 1\n".encode(codec)
    with pytest.raises(
        SparkConfError, match=rf"(?i)it is {codec}, and Spark reads UTF-8: convert it \(iconv -f {codec}"
    ):
        read(tmp_path, data)
    assert values(read(tmp_path, data, codec)) == {"spark.a": "1"}


def test_half_a_character_of_utf_16(tmp_path: Path) -> None:
    with pytest.raises(SparkConfError, match="it isn't utf-16: truncated data"):
        read(tmp_path, "spark.a 1".encode("utf-16") + b"x", "utf-16")


def test_spoilt_utf_8_of_mostly_other_scripts_is_not_taken_for_ebcdic(tmp_path: Path) -> None:
    with pytest.raises(SparkConfError, match="line 2: it isn't utf-8"):
        read(tmp_path, f"# {'設定' * 50}\nspark.a ".encode() + b"\xff\n")


def test_bom(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbfspark.a 1\n"
    assert values(read(tmp_path, data)) == values(read(tmp_path, data, "utf-8")) == {"spark.a": "1"}
    assert read(tmp_path, data).encoding == "utf-8"


def test_forced_encoding(tmp_path: Path) -> None:
    defaults = read(tmp_path, "spark.a é\n".encode("latin-1"), "latin-1")
    assert values(defaults) == {"spark.a": "é"}
    assert defaults.encoding == "latin-1"


def test_forced_ebcdic_of_another_kind(tmp_path: Path) -> None:
    assert values(read(tmp_path, "spark.a [1]".encode("cp037") + NEL + "spark.b 2".encode("cp037"), "cp037")) == {
        "spark.a": "[1]",
        "spark.b": "2",
    }


def test_unknown_forced_encoding(tmp_path: Path) -> None:
    with pytest.raises(SparkConfError, match="no encoding 'klingon'"):
        read(tmp_path, b"spark.a 1\n", "klingon")


def test_an_entry_has_the_line_where_it_starts(tmp_path: Path) -> None:
    data = b"# one\r\n\r\nspark.a 1,\\\r\n  2\r\n\\\r\n\rspark.b 2\nspark.a 3"
    defaults = read(tmp_path, data)
    path = str(tmp_path / "spark-defaults.conf")
    assert [(entry.key, entry.line) for entry in defaults.entries] == [("spark.a", 3), ("spark.b", 7), ("spark.a", 8)]
    assert defaults.entries[0].where == f"{path}, line 3"


def test_bad_escape_names_the_line_and_not_the_value(tmp_path: Path) -> None:
    with pytest.raises(SparkConfError, match=r"spark-defaults.conf, line 3: .*four hexadecimal digits") as caught:
        read(tmp_path, b"spark.a 1\n\nspark.password x\\uhunter2\n")
    assert "hunter2" not in str(caught.value)


def test_missing_file_is_fine(tmp_path: Path) -> None:
    assert read_defaults(str(tmp_path / "spark-defaults.conf")) == Defaults()


def test_too_large_file(tmp_path: Path) -> None:
    read(tmp_path, b"#".ljust(2**20))
    with pytest.raises(SparkConfError, match="larger than 1048576 bytes"):
        read(tmp_path, b"#".ljust(2**20 + 1))


def make_directory(path: str) -> None:
    os.mkdir(path)


def make_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)


@pytest.mark.parametrize("make", [make_directory, os.mkfifo, make_socket])
@pytest.mark.timeout(60)
def test_what_is_no_file_is_an_error_and_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    make("spark-defaults.conf")
    with pytest.raises(SparkConfError, match=r"spark-defaults.conf: it (is not a regular file|can't be read)"):
        read_defaults("spark-defaults.conf")


@pytest.mark.timeout(60)
def test_a_device_is_an_error_and_no_hang() -> None:
    with pytest.raises(SparkConfError, match="not a regular file"):
        read_defaults("/dev/zero")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "spark-defaults.conf"
    path.touch(0o000)
    with pytest.raises(SparkConfError, match="it can't be read: Permission denied"):
        read_defaults(str(path))


def test_what_the_system_refuses_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "conf").touch()
    with pytest.raises(SparkConfError, match="it can't be read: Not a directory"):
        read_defaults(str(tmp_path / "conf" / "spark-defaults.conf"))


keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map("spark.".__add__)
texts = st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: f"<{text}>")  # so that no end is trimmed


@given(st.dictionaries(keys, texts))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, properties: dict[str, str]) -> None:
    written = javaproperties.dumps(properties, ensure_ascii=False, timestamp=False)
    assert values(read(tmp_path_factory.mktemp("conf"), written.encode())) == properties


@given(st.dictionaries(keys, texts, min_size=1), st.sampled_from([NEL, LF, CRLF]))
def test_round_trip_in_ebcdic(tmp_path_factory: pytest.TempPathFactory, properties: dict[str, str], end: bytes) -> None:
    data = javaproperties.dumps(properties, timestamp=False).encode("cp1047").replace(b"\x25", end)
    assert values(read(tmp_path_factory.mktemp("conf"), data, "cp1047")) == properties
