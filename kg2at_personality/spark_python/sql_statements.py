"""The statements of an SQL cell, split as Spark's own lexer reads them (SqlBaseLexer.g4 of Spark 3)."""

from __future__ import annotations

import re
from collections.abc import Iterator

# The tokens in which a semicolon ends no statement: literals (a backslash escapes the next character, except in
# raw ones), quoted names, comments to the end of the line (which a backslash continues); and everything else.
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
    """Return where each statement of `text` starts and ends. Blanks and comments alone are no statement.

    A quote or comment that is not closed goes to the end of the text; Spark refuses it.
    """
    found, start, has_text = [], 0, False
    for kind, position in _tokens(text):
        has_text = has_text or kind == "text"
        if kind == "end":
            if has_text:
                found.append((start, position))
            start, has_text = position + 1, False
    return [*found, (start, len(text))] if has_text else found


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """Yield the kind and the place of each token except bracketed comments, which nest."""
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
    """Return where a comment ends that began before `position`; -1 when it does not."""
    depth = 1
    while depth:
        found = _COMMENT.search(text, position)
        if found is None:
            return -1
        depth += 1 if found[0].startswith("/*") else -1
        position = found.end()
    return position
