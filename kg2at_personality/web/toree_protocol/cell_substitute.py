"""Scala code that a Toree runs in place of what its user wrote, and that carries the user's cell in base64.

In base64 a cell's text reaches Spark whatever it holds, and the notebook is shown the cell that it sent.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from jupyter_client.session import Session

from ...kernels.message import CONTENT, HEADER, parsed, with_content

#: The line that each substitute begins with, and no user's cell.
MARK = "// kg2at runs this in place of the cell that stands below in base64."
#: Most characters of a Scala literal; the JVM takes 65,535 bytes.
MAX_LITERAL = 60_000

_SCALA_COMMENT = re.compile(r"//[^\n]*|/\*|\s+")
_INSIDE_COMMENT = re.compile(r"/\*|\*/")


def substitute(scala: str, cell: str) -> str:
    """Return the code that runs `scala` in place of `cell`. The word `literals` in it stands for the cell in base64."""
    encoded = base64.b64encode(cell.encode("utf-8", "replace")).decode()
    return f"{MARK}\n" + scala.replace("literals", literals(encoded))


def literals(text: str) -> str:
    """Return Scala literals for the pieces of a text without quotes and backslashes, with commas between them."""
    pieces = (text[start : start + MAX_LITERAL] for start in range(0, max(len(text), 1), MAX_LITERAL))
    return ", ".join(f'"{piece}"' for piece in pieces)


def blank(cell: str) -> str:
    """Return the code that does nothing in place of `cell`."""
    return substitute("() // literals", cell)


def is_blank(code: str) -> bool:
    """Return whether Scala code is white space and comments (which nest) alone: Toree calls those a syntax error."""
    position = depth = 0
    while position < len(code):
        found = (_INSIDE_COMMENT.search if depth else _SCALA_COMMENT.match)(code, position)
        if found is None:
            return False
        depth += (found[0] == "/*") - (found[0] == "*/")
        position = found.end()
    return depth == 0


def original(code: str) -> str | None:
    """Return the cell that `code` is run in place of; None when `code` is no substitute."""
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
    """Return the ZeroMQ message of `parts` (signature first) with the user's cell; None when it shows no substitute."""
    if b'"execute_input"' not in bytes(parts[HEADER]):
        return None
    content = parsed(bytes(parts[CONTENT]))
    cell = original(str(content.get("code")))
    return None if cell is None else with_content(session, parts, content | {"code": cell})
