"""The statements of an SQL cell, as Spark's own parser would part them (SqlBaseLexer.g4 of Spark 3)."""

from __future__ import annotations

import re
from collections.abc import Iterator

# What a semicolon in it does not end: literals (a backslash takes the next character with it, but in raw ones),
# quoted names, comments to the end of the line (a backslash continues them); and what may stand between.
_TOKEN = re.compile(
    r"""
    (?P<blank> \s+ | --(?:\\\n|[^\r\n])* )
  | (?P<open> /\*(?!\+) )
  | (?P<end> ; )
  | (?P<text>
        (?<!\w)[rR]'[^']*'? | (?<!\w)[rR]"[^"]*"?
      | '[^'\\]*(?:\\.[^'\\]*)*'? | "[^"\\]*(?:\\.[^"\\]*)*"? | `[^`]*`?
      | \w+ | [^\s\w'"`;/-]+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*(?!\+)|\*/")


def statements(text: str) -> list[tuple[int, int]]:
    """Where each statement of `text` starts and ends; what is blank or comments alone is none.

    A quote or a comment that is not closed goes to the end of the text, and Spark tells of it.
    """
    found, start, says = [], 0, False
    for kind, position in _tokens(text):
        says = says or kind == "text"
        if kind == "end":
            if says:
                found.append((start, position))
            start, says = position + 1, False
    return [*found, (start, len(text))] if says else found


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """The kind and the place of each token but comments in brackets, which nest."""
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return  # never: every character is a token
        if token.lastgroup == "open":
            position = _end_of_comment(text, token.end())
            if position < 0:
                yield "text", token.start()
                return
        else:
            yield str(token.lastgroup), token.start()
            position = token.end()


def _end_of_comment(text: str, position: int) -> int:
    """Where a comment ends that began before `position`; -1 when it does not."""
    depth = 1
    while depth:
        found = _COMMENT.search(text, position)
        if found is None:
            return -1
        depth += 1 if found[0].startswith("/*") else -1
        position = found.end()
    return position
