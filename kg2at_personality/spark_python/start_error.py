"""What a cell shows when no session can be made: a sentence, not the traceback of py4j and of the JVM."""

from __future__ import annotations

from typing import Any


class ShortError(RuntimeError):
    """An error whose message says it all, so that a notebook shows no traceback."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines to show. Called by IPython's showtraceback."""
        return [f"{type(self).__name__}: {self}"]


class SparkStartError(ShortError):
    """Spark's session could not be made."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"Spark could not be started: {reason(cause)}")


def reason(error: BaseException) -> str:
    """Return what an error of pyspark or py4j says, without Java's stack."""
    java: Any = getattr(error, "java_exception", None)
    try:
        text = str(java.toString()) if java is not None else str(error)
    except Exception:
        text = type(error).__name__
    kept = [line for line in text.splitlines() if line.strip() and not line.startswith(("\tat ", "JVM stacktrace"))]
    return "\n".join(kept[:20]) or type(error).__name__
