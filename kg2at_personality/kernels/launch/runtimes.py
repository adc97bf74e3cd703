"""The kinds of kernels that there are, by the languages of their notebooks."""

from __future__ import annotations

from .plan import Runtime
from .python import PythonRuntime
from .toree import ToreeRuntime

#: Those come first whose kernels are the default.
RUNTIMES: tuple[type[Runtime], ...] = (ToreeRuntime, PythonRuntime)


def runtime_of(interpreter: str) -> type[Runtime] | None:
    """Return the kind whose notebooks hold this language; None when there is none."""
    return next((each for each in RUNTIMES if interpreter in each.interpreters), None)
