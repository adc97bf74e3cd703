"""IPython's shell, which shows a DataFrame as a table, and helps with lazy names without starting Spark."""

from __future__ import annotations

from typing import Any

from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.formatters import DisplayFormatter

from .table import Table

_HELP = {"pinfo", "pinfo2", "pdoc", "pdef", "psource", "pfile", "psearch"}


class TableFormatter(DisplayFormatter):
    """Shows DataFrames as tables. What fails in their job fails the cell: IPython's own formatters catch it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._fetched: tuple[Any, Table] | None = None

    def fetch(self, frame: Any, rows: int | None) -> None:
        """Fetch the table with which a DataFrame will be shown the next time. Raises what Spark raises."""
        self._fetched = frame, Table.of(frame, rows)

    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> Any:
        """Return what is shown of any object. Called by `display`, and for a cell's result."""
        if not _is_frame(obj) or self._has_own_look(obj):
            return super().format(obj, include=include, exclude=exclude)
        fetched, self._fetched = self._fetched, None
        table = fetched[1] if fetched is not None and fetched[0] is obj else Table.of(obj)
        wanted = {kind: text for kind, text in table.bundle().items() if not include or kind in include}
        return {kind: text for kind, text in wanted.items() if not exclude or kind not in exclude}, {}

    def _has_own_look(self, obj: Any) -> bool:
        """Whether the user has said how such objects are shown."""
        try:
            return self.formatters["text/html"].lookup(obj) is not None
        except KeyError:
            return False


def _is_frame(obj: Any) -> bool:
    """Whether it is a DataFrame that a job can be run for: no streaming one, none of Spark Connect."""
    kinds = {(kind.__module__, kind.__name__) for kind in type(obj).__mro__}
    if ("pyspark.sql.dataframe", "DataFrame") not in kinds or type(obj).__module__.startswith("pyspark.sql.connect"):
        return False
    return bool(obj.columns) and not obj.isStreaming


class SparkShell(ZMQInteractiveShell):
    """The shell of a SparkKernel."""

    def init_display_formatter(self) -> None:
        """Have tables. Called by the shell's constructor."""
        self.display_formatter = TableFormatter(parent=self)
        configurables: list[Any] = self.configurables
        configurables.append(self.display_formatter)

    def run_line_magic(self, magic_name: str, line: str, *args: Any, **kwargs: Any) -> Any:
        """Run a magic; those that help with a name don't make its object. Called by each line that begins with %."""
        if magic_name not in _HELP:
            return super().run_line_magic(magic_name, line, *args, **kwargs)
        with self.kernel.names.blank(line):
            return super().run_line_magic(magic_name, line, *args, **kwargs)
