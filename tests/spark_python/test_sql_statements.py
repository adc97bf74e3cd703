from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg2at_personality.spark_python.sql_statements import statements


def parted(text: str) -> list[str]:
    return [text[start:end] for start, end in statements(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" \n-- only\n/* comments /* nested ; */ */;; ", []),
        ("select 1", ["select 1"]),
        ("select 1;", ["select 1"]),
        ("select 1; -- done", ["select 1"]),
        ("select 1; ; select 2", ["select 1", " select 2"]),
        ("select ';' ; select \";\"", ["select ';' ", ' select ";"']),
        (r"select 'it\';s'; select 2", [r"select 'it\';s'", " select 2"]),
        ("select 'it'';s'; select 2", ["select 'it'';s'", " select 2"]),
        ("select `a;b``;c` from t; x", ["select `a;b``;c` from t", " x"]),
        ("select 1 -- a;b 'c\n; select 2", ["select 1 -- a;b 'c\n", " select 2"]),
        ("select 1 -- a\\\n;b\n; select 2", ["select 1 -- a\\\n;b\n", " select 2"]),
        ("select 1 /* ; ' */; select 2", ["select 1 /* ; ' */", " select 2"]),
        ("select /*+ broadcast(t) */ 1; x", ["select /*+ broadcast(t) */ 1", " x"]),
        (r"select r'\'; select 2", [r"select r'\'", " select 2"]),
        (r"select bar'\';'; x", [r"select bar'\';'", " x"]),
        ("select 5--3;\n;x", ["select 5--3;\n", "x"]),
        ("select 6/2; select 4-1", ["select 6/2", " select 4-1"]),
        ('select """ as t; select 2', ['select """ as t; select 2']),
        ("select 'open; select 2", ["select 'open; select 2"]),
        ("select 1 /* open ; ", ["select 1 /* open ; "]),
        ("/* open ; select 1", ["/* open ; select 1"]),
    ],
)
def test_statements(text: str, found: list[str]) -> None:
    assert parted(text) == found


PIECES = ["select", " ", "\n", "'", '"', "`", "\\", ";", "--", "/*", "*/", "/*+", "r'", "é", "😀", "1"]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_nothing_that_says_something_is_lost(text: str) -> None:
    """Between statements stands only what says nothing: semicolons, white space, comments."""
    rest, end = "", 0
    for start, stop in statements(text):
        assert end <= start < stop
        rest, end = rest + text[end:start], stop
    assert statements(rest + text[end:]) == []


@pytest.mark.parametrize("piece", ["select 1;", "'", '"', "/*", "*/", "--", "\\'", "r'", "é ", "`", "-", "/"])
def test_a_megabyte_is_parted_in_time_that_grows_with_its_length(piece: str) -> None:
    def seconds(size: int) -> float:
        began = time.process_time()
        statements(piece * (size // len(piece)))
        return time.process_time() - began

    seconds(1000)
    assert seconds(1_000_000) < 5, "a second or so; quadratic would be hours"
