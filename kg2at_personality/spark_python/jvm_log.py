"""What a JVM printed that ended at its start, of which pyspark tells only that it did."""

from __future__ import annotations

import os
import re
import time
from typing import Mapping

#: Seconds in which what was printed comes into the log, which another process writes; and between two looks.
SETTLE_LIMIT, SETTLE_POLL = 1.0, 0.1
#: Lines that are told, and bytes that are read.
LINES, LIMIT = 10, 16384
#: Spark's default for spark.redaction.regex.
_SECRET = re.compile("(?i)secret|password|token|access[.]?key")
_OPTION = re.compile(r"(-D[^\s=\"']+)=\S+")


class JvmLog:
    """The kernel's log beside its properties file, where there is one; `admitted` are those properties."""

    def __init__(self, properties: str | None, admitted: Mapping[str, str]) -> None:
        self._path = os.path.splitext(properties)[0] + ".log" if properties else os.devnull
        self._secrets = [value for key, value in admitted.items() if _SECRET.search(key) and len(value) > 3]
        self._begun = 0

    def begin(self) -> None:
        """Take what is printed from now on for the next JVM's."""
        self._begun = self._size()

    def last_lines(self) -> str:
        """Return what the JVM printed last, without values of secrets and of Java options; "" for nothing. Waits."""
        deadline, size = time.monotonic() + SETTLE_LIMIT, -1
        while size != self._size() and time.monotonic() < deadline:
            size = self._size()
            time.sleep(SETTLE_POLL)
        try:
            with open(self._path, "rb") as file:
                file.seek(max(self._begun if self._begun <= size else 0, size - LIMIT))
                text = file.read(LIMIT).decode("utf-8", "replace")
        except OSError:
            return ""
        return self._masked("\n".join([line for line in text.splitlines() if line.strip()][-LINES:]))

    def _size(self) -> int:
        try:
            return os.stat(self._path).st_size
        except OSError:
            return 0

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _OPTION.sub(r"\1=***", text)
