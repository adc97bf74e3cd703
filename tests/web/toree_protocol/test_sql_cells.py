from __future__ import annotations

import time

import pytest
from jupyter_client.session import Session

from kg2at_personality.web.toree_protocol import sql_cells
from kg2at_personality.web.toree_protocol.cell_substitute import original
from tests.web.toree_protocol.scala import literals


@pytest.mark.parametrize(
    ("code", "in_scala", "in_sql"),
    [
        ("select 'é'", None, "select 'é'"),
        ("%lsmagic", None, None),
        ("  %%html\nx", None, None),
        ("%%sql\nselect 1\n-- two", "\nselect 1\n-- two", "\nselect 1\n-- two"),
        ("\n %%SQL select 1", " select 1", " select 1"),
        ("%%sqlite\nselect 1", None, None),
        ("%%sql", "", ""),
        ("", None, ""),
        ("val a = 1\n%%sql", None, "val a = 1\n%%sql"),
    ],
)
def test_the_sql_of_a_cell(code: str, in_scala: str | None, in_sql: str | None) -> None:
    assert sql_cells.text_of(code, is_sql=False) == in_scala
    assert sql_cells.text_of(code, is_sql=True) == in_sql


NASTY = 'select """, \'\\\'\', "$x ${y}" -- é 😀\n, `a;b` from t /* ; */ where x = "a\nb"'


@pytest.mark.parametrize("code", ["select 1", NASTY, f"%%sql\n{NASTY}", "select '" + "é" * 500_000 + "'"])
def test_a_cell_goes_whole_and_in_literals_that_the_jvm_takes(code: str) -> None:
    text = sql_cells.text_of(code, is_sql=True)
    assert text is not None
    scala = sql_cells.cell(code, text)
    assert scala.isascii() and original(scala) == code
    assert all(len(literal) <= 65_535 for literal in literals(scala))


@pytest.mark.parametrize("text", ["", " \n", "-- nothing", "/* ; */ ;; -- ;"])
def test_one_that_says_nothing_does_nothing(text: str) -> None:
    scala = sql_cells.cell(text, text)
    assert scala.splitlines()[1].startswith("() // ") and original(scala) == text


def test_statements_are_cut_where_java_counts_them() -> None:
    code = "%%sql\nselect '😀;é'; select 2 "
    scala = sql_cells.cell(code, code[5:])
    units = code.encode("utf-16-le")
    spans = [(5, 19), (20, 30)]
    assert 'Array("5 19 20 30")' in scala
    cut = [units[2 * start : 2 * end].decode("utf-16-le") for start, end in spans]
    assert cut == ["\nselect '😀;é'", " select 2 "]


def test_many_statements_take_no_more_than_their_length() -> None:
    """A method of the JVM's has at most 65,535 bytes, so their places are a text."""
    text = "select 'é';" * 90_000
    began = time.process_time()
    scala = sql_cells.cell(text, text)
    assert time.process_time() - began < 10, "half a second; quadratic would be minutes"
    assert all(len(literal) <= 65_535 for literal in literals(scala)) and "989989 " in scala.replace('", "', "")


@pytest.mark.parametrize(("msg_type", "name"), [("kernel_info_reply", "sql"), ("other_reply", "scala")])
def test_the_kernel_introduces_itself_as_sql_under_a_right_signature(msg_type: str, name: str) -> None:
    kernel, ours = Session(key=b"key"), Session(key=b"key")
    message = kernel.msg(msg_type, {"status": "ok", "language_info": {"name": "scala"}})
    parts = kernel.feed_identities(kernel.serialize(message))[1]
    passed = ours.feed_identities(sql_cells.from_kernel(ours, parts))[1]
    content = ours.deserialize(passed)["content"]
    assert content["status"] == "ok" and content["language_info"]["name"] == name
