"""A DataFrame as a table of bounded size."""

from __future__ import annotations

import html
from typing import Any

#: How much is shown: rows (Spark's own default), columns, characters in a cell.
ROWS, COLUMNS, WIDTH = 20, 100, 200
MOST_ROWS = 10_000


class Table:
    """The first rows and columns, as text."""

    def __init__(self, columns: list[str], rows: list[Any], most: int, width: int = WIDTH) -> None:
        self.columns = [_cut(name, width) for name in columns[:COLUMNS]]
        self.rows = [[_cut(text(value), width) for value in tuple(row)[:COLUMNS]] for row in rows[:most]]
        self.notes = [f"only the first {most} rows are shown"] if len(rows) > most else []
        if len(columns) > COLUMNS:
            self.notes.append(f"only the first {COLUMNS} of {len(columns)} columns are shown")

    @classmethod
    def of(cls, frame: Any, most: int | None = None) -> Table:
        """Run a job for the first rows of a DataFrame. Raises what Spark raises.

        `spark.sql.repl.eagerEval.maxNumRows` and `.truncate` count when they are set, as for Spark's own tables.
        """
        conf = frame.sparkSession.conf
        most = _number(conf, "spark.sql.repl.eagerEval.maxNumRows", ROWS) if most is None else most
        most = max(min(most, MOST_ROWS), 0)
        width = _number(conf, "spark.sql.repl.eagerEval.truncate", WIDTH)
        return cls(frame.columns, frame.take(most + 1), most, width if width > 0 else WIDTH * 100)

    def bundle(self) -> dict[str, str]:
        """Return what a front end shows, by MIME type."""
        return {"text/plain": self._plain(), "text/html": self._html()}

    def _plain(self) -> str:
        """Return what DataFrame.show would print."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows)]
        line = "+".join(["", *("-" * width for width in widths), ""])
        lines = [
            "|".join(["", *(cell.rjust(width) for cell, width in zip(row, widths)), ""])
            for row in [self.columns, *self.rows]
        ]
        return "\n".join([line, lines[0], line, *lines[1:], line, *self.notes])

    def _html(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        rows = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in self.rows]
        body = "\n".join(f"<tr>{row}</tr>" for row in rows)
        notes = "".join(f"\n<p>{note}</p>" for note in self.notes)
        return f'<table border="1">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>{notes}'


def text(value: Any) -> str:
    """Return a value as Spark's own tables show it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (bytes, bytearray)):
        return f"[{bytes(value[:WIDTH]).hex(' ').upper()}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text(key)} -> {text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple):  # a Row
        return "{" + ", ".join(map(text, value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text, value)) + "]"
    return str(value)


def _cut(cell: str, width: int) -> str:
    """Return one line of bounded length."""
    line = cell[: width + 1].replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return line if len(cell) <= width else line[: max(width - 3, 1)] + "..."


def _number(conf: Any, key: str, default: int) -> int:
    try:
        return int(conf.get(key, None) or default)
    except (TypeError, ValueError):
        return default
