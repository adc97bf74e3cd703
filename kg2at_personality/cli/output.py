"""What commands print: tables for people, JSON for programs, and lines on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

Row = Mapping[str, Any]

#: Colours of the words that say how something is.
STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def is_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout.isatty()


def is_interactive(stream: TextIO) -> bool:
    """Return whether `stream` is a terminal on which a line can be written again.

    TERM says which can't, as rich reads it (console.py, `is_dumb_terminal`).
    """
    return stream.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def printable(value: object) -> str:
    """Return `value` on one line: control characters, which could move the cursor, are escaped; None is ""."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def say(text: str) -> None:
    """Print a line on standard error. No-op when nobody reads that any more."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    """Print `value` as JSON, with characters beyond ASCII escaped."""
    print(json.dumps(value, indent=2, default=str))


def print_table(rows: Iterable[Row], columns: Mapping[str, str]) -> None:
    """Print the `columns` (key -> heading) of `rows`: by rich at a terminal, else plain and aligned."""
    cells = [[printable(row.get(key)) for key in columns] for row in rows]
    if is_terminal():
        _print_rich(list(columns.values()), cells)
    else:
        _print_plain(list(columns.values()), cells)


def _print_plain(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    lines = [[heading.upper() for heading in headings], *cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_rich(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich import box  # rich takes a tenth of a second to import
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for line in cells:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in line))
    Console().print(table)
