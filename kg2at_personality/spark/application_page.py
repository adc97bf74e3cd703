"""The executors of an application, read from the master's page of it (`ApplicationPage`) of Spark 2.4 to 3.5.

A master's JSON does not show them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

#: Characters of the longest row that is read (seen: 700), and rows that are read at most.
MAX_ROW, MOST_ROWS = 4096, 2000
#: `ExecutorState`.
STATES = frozenset({"LAUNCHING", "RUNNING", "KILLED", "FAILED", "LOST", "EXITED", "DECOMMISSIONED"})


@dataclass(frozen=True)
class Executor:
    """One executor, running or removed. `is_proxied`: its worker is seen through the master (spark.ui.reverseProxy)."""

    id: int
    state: str
    worker_id: str
    is_proxied: bool


def executors(page: str, app_id: str) -> list[Executor]:
    """Return the executors that the page shows of this application, in no order, as the page has none.

    What is no row of an executor is left out, so that any text whatsoever is read in bounded time.
    """
    rows = (row for row in _rows(page) if "logType=stderr" in row)
    found = (_executor(row, app_id) for _, row in zip(range(MOST_ROWS), rows, strict=False))
    return [executor for executor in found if executor is not None]


def _rows(page: str) -> Iterator[str]:
    """Yield what is between each <tr and its </tr>, if that is not too long."""
    at = 0
    while (end := page.find("</tr>", at)) >= 0:
        _, begin, row = page[max(at, end - MAX_ROW) : end].rpartition("<tr")
        if begin:
            yield row
        at = end + len("</tr>")


def _executor(row: str, app_id: str) -> Executor | None:
    parser = _RowParser()
    try:
        parser.feed(row)
        link = urlsplit(parser.log)
        query = parse_qs(link.query, max_num_fields=10)
    except (ValueError, AssertionError):  # the parser's own for what begins like a declaration
        return None
    (number,) = query.get("executorId", [""])[:1]
    state = next((cell for cell in parser.cells if cell in STATES), "")
    is_whole = query.get("appId") == [app_id] and number.isascii() and number.isdigit() and len(number) < 10
    if not is_whole or not state or len(parser.cells) < 2:
        return None
    worker_id = parser.cells[1]
    return Executor(int(number), state, worker_id, f"/proxy/{worker_id}/" in link.path)


class _RowParser(HTMLParser):
    """Reads one row: the text of its `cells`, and where its `log` is (stderr)."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: list[str] = []
        self.log = ""

    @property
    def cells(self) -> list[str]:
        return [text.strip() for text in self._texts]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "td":
            self._texts.append("")
        href = dict(attrs).get("href") or ""
        if tag == "a" and "logType=stderr" in href:
            self.log = href

    def handle_data(self, data: str) -> None:
        if self._texts:
            self._texts[-1] += data
