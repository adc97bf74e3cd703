"""The finding of a check: a line of what `jupyter kg2at check` prints."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InstallationError, WrongPlace

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True)
class Finding:
    """One line: `level` is ok, warning or error; `said` is what was found, `remedy` what to do ("" where ok)."""

    check: str
    level: str
    said: str
    remedy: str = ""


def ok(check: str, said: str) -> Finding:
    """Return a finding that nothing has to be done about."""
    return Finding(check, OK, said)


def warning(check: str, said: str, remedy: str) -> Finding:
    """Return a finding that lets notebooks run, but perhaps not as somebody wished."""
    return Finding(check, WARNING, said, remedy)


def error(check: str, said: str, remedy: str) -> Finding:
    """Return a finding that keeps notebooks from running, or lets anyone run them."""
    return Finding(check, ERROR, said, remedy)


def failed(check: str, failure: InstallationError, remedy: str = "", spare: bool = False) -> Finding:
    """Return an error, or a warning where there is a `spare` for what failed, and no person set what is wrong.

    An InstallationError says what to do in its last sentence, if it has several; `remedy` is for one that has not.
    """
    said, advice = with_advice(str(failure))
    remedy = advice or remedy or "mend that, and check again"
    if spare and not isinstance(failure, WrongPlace):
        return warning(check, f"not offered: {said}", remedy)
    return error(check, said, remedy)


def with_advice(text: str) -> tuple[str, str]:
    """Return what `text` says, and what its last sentence says to do; "" where it has one sentence only."""
    said, stop, advice = text.rstrip(".").rpartition(". ")
    return (said, advice) if stop else (advice, "")
