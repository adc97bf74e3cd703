"""Errors whose message says it all, so that a notebook shows no traceback."""

from __future__ import annotations

import re
from typing import Any

#: The logical plan behind what an AnalysisException says, which begins in a line of its own.
_PLAN = re.compile(r"(line \d+,? pos \d+);\n.*", re.DOTALL)
#: Lines of an error of Spark's that are shown.
LINES = 20


class ShortError(RuntimeError):
    """Shown as one line, or as few."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines to show. Called by IPython's showtraceback."""
        return [f"{type(self).__name__}: {self}"]


class SparkStartError(ShortError):
    """Spark's session could not be made."""

    def __init__(self, cause: BaseException, printed: str = "") -> None:
        said = f" Its last lines:\n{printed}" if printed else ""
        super().__init__(f"Spark could not be started: {reason(cause)}{said}")


class JvmLost(ShortError):
    """The JVM does not answer any more."""


class SqlError(ShortError):
    """A statement failed."""


class WorkerPythonError(ShortError):
    """The Python of Spark's workers is not there, or not the right one."""


def reason(error: BaseException) -> str:
    """Return what an error of pyspark or py4j says, without Java's stack and Spark's logical plan."""
    java: Any = getattr(error, "java_exception", None)
    try:
        text = str(error) if java is None else str(java.toString())
    except Exception:
        text = ""  # the JVM has ended, and can't say it any more
    said = _PLAN.sub(r"\1", text.partition("JVM stacktrace:")[0])
    lines = [line for line in said.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("\tat ", "    at ", "\t... ", "Driver stacktrace:"))]
    return "\n".join(lines[:LINES]) or type(error).__name__
