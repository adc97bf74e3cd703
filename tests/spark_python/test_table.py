"""Tables of bounded size."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from kg2at_personality.spark_python.table import COLUMNS, MOST_ROWS, ROWS, WIDTH, Table, text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "NULL"),
        (True, "true"),
        (1.5, "1.5"),
        ("a", "a"),
        (bytearray(b"AB"), "[41 42]"),
        ([1, None], "[1, NULL]"),
        ({"k": [False]}, "{k -> [false]}"),
        ((1, "x"), "{1, x}"),
        (Decimal("1.50"), "1.50"),
        (date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_values(value: Any, shown: str) -> None:
    assert text(value) == shown


def test_a_table() -> None:
    bundle = Table(["a", "<b>"], [(1, None), (22, "x\ny&")], 5).bundle()
    assert bundle["text/plain"] == "+--+-----+\n| a|  <b>|\n+--+-----+\n| 1| NULL|\n|22|x\\ny&|\n+--+-----+"
    assert "<th>&lt;b&gt;</th>" in bundle["text/html"] and "<td>x\\ny&amp;</td>" in bundle["text/html"]


def test_bounds() -> None:
    names = [str(n) for n in range(COLUMNS + 1)]
    table = Table(names, [["x" * 1000] * len(names)] * 4, 3)
    assert table.notes == ["only the first 3 rows are shown", "only the first 100 of 101 columns are shown"]
    assert len(table.rows) == 3 and len(table.rows[0]) == COLUMNS
    assert table.rows[0][0] == "x" * (WIDTH - 3) + "..."
    assert all(f"<p>{note}</p>" in table.bundle()["text/html"] for note in table.notes)


def test_no_rows() -> None:
    assert Table(["a"], [], 5).bundle()["text/plain"] == "+-+\n|a|\n+-+\n+-+"


class Frame(SimpleNamespace):
    """A DataFrame of as many rows as are taken."""

    columns = ("id",)

    def __init__(self, **conf: str) -> None:
        prefix = "spark.sql.repl.eagerEval."
        get = {prefix + key: value for key, value in conf.items()}.get
        super().__init__(sparkSession=SimpleNamespace(conf=SimpleNamespace(get=get)), taken=0)

    def take(self, count: int) -> list[tuple[str]]:
        self.taken = count
        return [("12345678",)] * count


@pytest.mark.parametrize(
    ("conf", "asked", "rows"),
    [
        ({}, None, ROWS),
        ({"maxNumRows": "2"}, None, 2),
        ({"maxNumRows": "2"}, 7, 7),
        ({}, 10**9, MOST_ROWS),
        ({}, -1, 0),
    ],
)
def test_how_many_rows(conf: dict[str, str], asked: int | None, rows: int) -> None:
    frame = Frame(**conf)
    assert len(Table.of(frame, asked).rows) == rows and frame.taken == rows + 1


def test_the_users_width() -> None:
    assert Table.of(Frame(truncate="6"), 1).rows == [["123..."]]
    assert Table.of(Frame(truncate="0"), 1).rows == [["12345678"]]
    assert Table.of(Frame(truncate="x"), 1).rows == [["12345678"]]
