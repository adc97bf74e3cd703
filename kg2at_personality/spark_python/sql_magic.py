"""`%sql` and `%%sql`: statements, of which the last one's table is the cell's result."""

from __future__ import annotations

import re
from typing import Any, Protocol

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from .lazy_names import is_lazy
from .short_error import ShortError, SqlError, reason
from .spark_shell import SparkShell
from .sql_statements import statements

_OPTIONS = re.compile(r"\s*((?:(?:-[on]|--output|--rows)(?:\s+|=)\S+(?:\s+|$))*)(.*)", re.DOTALL)


class Sessions(Protocol):
    """What makes the session when there is none."""

    def make(self) -> dict[str, Any]: ...


@magics_class
class SqlMagic(Magics):
    """The magic of a shell, whose variable `spark` is the session, if it is one."""

    def __init__(self, shell: SparkShell, sessions: Sessions) -> None:
        super().__init__(shell)
        self._names, self._sessions = shell.user_ns, sessions
        self._tables: Any = shell.display_formatter

    @no_var_expand
    @magic_arguments()
    @argument("-o", "--output", metavar="NAME", help="keep the last statement's result, as a DataFrame of this name")
    @argument("-n", "--rows", metavar="ROWS", type=int, help="show so many rows at most")
    @line_cell_magic
    def sql(self, line: str, cell: str | None = None) -> Any:
        """Run SQL statements, parted by semicolons, and show what the last one returns."""
        found = _OPTIONS.match(line)
        options, rest = (found[1], found[2]) if found else ("", line)
        given: Any = parse_argstring(self.sql, options)
        if given.output is not None and not given.output.isidentifier():
            raise UsageError(f"{given.output} is no name for a variable.")
        text = "\n".join(filter(None, (rest, cell)))
        if not text.strip():
            raise UsageError("%%sql needs a statement.")
        try:
            return self._run(text, given)
        except ShortError:
            raise
        except Exception as error:
            failed = SqlError(reason(error))
        raise failed

    def _run(self, text: str, given: Any) -> Any:
        """Return the last statement's DataFrame, with its table fetched; None when it has no columns."""
        session, frame = self._session(), None
        for start, end in statements(text):
            frame = session.sql(text[start:end].strip())
        if given.output is not None:
            self._names[given.output] = frame
        if frame is None or not frame.columns:
            return None
        self._tables.fetch(frame, given.rows)
        return frame

    def _session(self) -> Any:
        own = self._names.get("spark")
        return own if hasattr(type(own), "sql") and not is_lazy(own) else self._sessions.make()["spark"]
