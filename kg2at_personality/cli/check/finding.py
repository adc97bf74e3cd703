"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True)
class Finding:
    """One line: `level` is ok, warning or error; `said` is what is so, `remedy` what to do ("" where ok)."""

    check: str
    level: str
    said: str
    remedy: str = ""


def ok(check: str, said: str) -> Finding:
    """All is well."""
    return Finding(check, OK, said)


def warning(check: str, said: str, remedy: str) -> Finding:
    """Notebooks will run, but perhaps not as somebody wished."""
    return Finding(check, WARNING, said, remedy)


def error(check: str, said: str, remedy: str) -> Finding:
    """Notebooks won't run, or anyone may run them."""
    return Finding(check, ERROR, said, remedy)
