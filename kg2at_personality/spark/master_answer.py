"""A parser of a master's JSON that reads a large one in pieces: Python's own lets no other thread run meanwhile."""

from __future__ import annotations

import codecs
import json
import re

#: Bytes that are parsed at once, which takes a millisecond. A row may have half of that; real ones have some hundred.
PIECE = 64 * 1024
#: Rows that are read at most: 400 times as many as 1,000 workers and 1,000 applications are.
MOST = 800_000
#: The lists whose rows are kept; the others are read and dropped.
ROWS = frozenset({"workers", "activeapps", "completedapps"})
_BLANKS = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def parse(body: bytes, piece: int = PIECE, most: int = MOST) -> object:
    """Return the value that `body` holds. Raises RecursionError, and ValueError for what is no JSON or too many rows.

    What is larger than a piece must be an object; its lists that are not among ROWS are empty in what is returned.
    """
    return json.loads(body) if is_small(body, piece) else _Pieces(body, piece, most).whole()


def is_small(body: bytes, piece: int = PIECE) -> bool:
    """Return whether it is parsed in a millisecond, so that no thread is needed."""
    return len(body) <= piece


class _Pieces:
    """Reads a body through a window.

    `_window` is the text of `piece` bytes from `_base` on; all before `_at` in it has been read.
    """

    def __init__(self, body: bytes, piece: int, most: int) -> None:
        self._body, self._piece, self._most = body, piece, most
        self._base, self._at = 0, 0
        self._window, self._elements = "", 0

    def whole(self) -> dict[str, object]:
        """Return the object that the body holds."""
        content: dict[str, object] = {}
        self._take("{")
        while self._goes_on("}", is_first=not content):
            key = self._value()
            if not isinstance(key, str):
                raise ValueError(f"a key is no text, before {self._where()}")
            self._take(":")
            content[key] = self._rows(key in ROWS) if self._peek() == "[" else self._value()
        if self._peek():
            raise ValueError(f"more than one value, at {self._where()}")
        return content

    def _rows(self, are_kept: bool) -> list[object]:
        """Read a list, one element at a time; its rows are returned if they `are_kept`."""
        rows: list[object] = []
        self._take("[")
        is_first = True
        while self._goes_on("]", is_first):
            row, is_first = self._value(), False
            self._elements += 1
            if self._elements > self._most:
                raise ValueError(f"more than {self._most} rows")
            if are_kept:
                rows.append(_flat(row))
        return rows

    def _goes_on(self, end: str, is_first: bool) -> bool:
        """Read the comma before another element and return True, or read `end` and return False."""
        if self._peek() == end:
            self._at += 1
            return False
        if not is_first:
            self._take(",")
        return True

    def _value(self) -> object:
        self._peek()
        if self._at > len(self._window) // 2:
            self._slide()
        value, self._at = _DECODER.raw_decode(self._window, self._at)
        if self._at == len(self._window) and self._base + self._piece < len(self._body):
            raise ValueError(f"a value of more than {self._piece // 2} bytes, before {self._where()}")
        return value

    def _take(self, character: str) -> None:
        if self._peek() != character:
            raise ValueError(f"no {character!r} at {self._where()}")
        self._at += 1

    def _peek(self) -> str:
        """Return the next character that is no blank, without reading it; "" at the end."""
        while True:
            blanks = _BLANKS.match(self._window, self._at)
            self._at = blanks.end() if blanks else self._at
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._slide():
                return ""

    def _slide(self) -> bool:
        """Move the window to what has not been read. Returns False when everything has."""
        self._base, self._at = self._position(), 0
        end = self._base + self._piece
        # A character that the window cuts in two is in the next one.
        decoder = codecs.getincrementaldecoder("utf-8")()
        self._window = decoder.decode(self._body[self._base : end], end >= len(self._body))
        return bool(self._window)

    def _position(self) -> int:
        return self._base + len(self._window[: self._at].encode())

    def _where(self) -> str:
        return f"byte {self._position()}"


def _flat(row: object) -> object:
    """Return a row without what is nested in it: nobody reads that, and flat rows spare the garbage collector work."""
    if not isinstance(row, dict):
        return row
    return {name: value for name, value in row.items() if not isinstance(value, (list, dict))}
