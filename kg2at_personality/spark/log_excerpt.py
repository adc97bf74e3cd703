"""Which of a dead process's last lines say why it died."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Where a JVM, spark-submit or Python begins to tell what ended it.
_REASON = re.compile(r"Error: |Exception in thread |Traceback \(most recent call last\)|Error occurred during initial")
#: What a JVM says after the line that tells what is wrong with its options. It has printed nothing else before.
_NO_JVM = ("Error: Could not create the Java Virtual Machine", "Error occurred during initial")
#: Where an exception begins that somebody logged, and maybe lived with.
_EXCEPTION = re.compile(r"Caused by: |(?:[\w$]+\.)+\w*(?:Error|Exception)\b")
#: Stack frames, and the options that a usage explains.
_DETAIL = re.compile(r"[ \t]")


def excerpt(lines: Sequence[str], count: int) -> list[str]:
    """Return at most `count` of the lines, from the one on that says why; the last ones when none does.

    Where these are more, lines that are indented go first, so that a cause is shown that comes after a long stack.
    """
    start = _start(lines)
    if start is None:
        return list(lines[-count:])
    told = list(lines[start:])
    if len(told) > count:
        told = [line for line in told if not _DETAIL.match(line)]
    return told[:count]


def _start(lines: Sequence[str]) -> int | None:
    """Return where to begin: at the first reason, as others come of it, else at the last exception."""
    for number, line in enumerate(lines):
        if _REASON.match(line):
            return max(0, number - 1) if line.startswith(_NO_JVM) else number
    return next((number for number in reversed(range(len(lines))) if _EXCEPTION.match(lines[number])), None)
