"""Cells of Scala that go to a Toree in place of what its user wrote, and carry that in base64.

So the text reaches Spark whatever it holds, and a notebook is told of the cell that it sent.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from jupyter_client.session import Session

from ...kernels.message import CONTENT, HEADER, parsed, with_content

#: The line that a stand-in begins with, as no cell of a user's does.
MARK = "// kg2at runs this in place of the cell that stands below in base64."
#: A literal of the JVM's has at most 65,535 bytes.
LITERAL = 60_000

_SCALA_COMMENT = re.compile(r"//[^\n]*|/\*|\s+")
_INSIDE_COMMENT = re.compile(r"/\*|\*/")


def substitute(scala: str, cell: str) -> str:
    """The code that runs `scala` in place of `cell`, whose base64 it names `literals`."""
    encoded = base64.b64encode(cell.encode("utf-8", "replace")).decode()
    return f"{MARK}\n" + scala.replace("literals", literals(encoded))


def literals(text: str) -> str:
    """Scala's literals for pieces of a plain text, with commas."""
    pieces = (text[start : start + LITERAL] for start in range(0, max(len(text), 1), LITERAL))
    return ", ".join(f'"{piece}"' for piece in pieces)


def blank(cell: str) -> str:
    """The code that does nothing in place of `cell`."""
    return substitute("() // literals", cell)


def is_blank(code: str) -> bool:
    """Whether Scala code is white space and comments (which nest) alone: Toree calls those a syntax error."""
    position = depth = 0
    while position < len(code):
        found = (_INSIDE_COMMENT.search if depth else _SCALA_COMMENT.match)(code, position)
        if found is None:
            return False
        depth += (found[0] == "/*") - (found[0] == "*/")
        position = found.end()
    return depth == 0


def original(code: str) -> str | None:
    """The cell that a stand-in stands for; None for what is none."""
    if not code.startswith(MARK):
        return None
    first = re.search(r'"[A-Za-z0-9+/=]*"(, "[A-Za-z0-9+/=]*")*', code)
    if first is None:
        return None
    try:
        return base64.b64decode(first[0].replace('"', "").replace(", ", "")).decode()
    except ValueError:
        return None


def restored(session: Session, parts: list[Any]) -> list[Any] | None:
    """The ZeroMQ message of `parts` (signature first) with the user's own cell; None when that needs no change."""
    if b'"execute_input"' not in bytes(parts[HEADER]):
        return None
    content = parsed(bytes(parts[CONTENT]))
    cell = original(str(content.get("code")))
    return None if cell is None else with_content(session, parts, content | {"code": cell})
