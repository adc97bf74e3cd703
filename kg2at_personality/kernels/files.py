"""The files one kernel owns beside its connection file. They die with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import javaproperties

from ..spark.log_excerpt import excerpt
from ..system.private_file import temporary, write_private

#: Bytes of a report that are read.
REPORT_LIMIT = 4096


@dataclass(frozen=True)
class KernelFiles:
    """Paths made from the connection file's: what the launch reads, and what the kernel prints and reports."""

    connection_file: str

    def _beside(self, suffix: str) -> Path:
        return Path(self.connection_file).with_suffix(suffix)

    @property
    def properties(self) -> Path:
        return self._beside(".properties")

    @property
    def java_options(self) -> Path:
        return self._beside(".javaopts")

    @property
    def submit_options(self) -> Path:
        return self._beside(".submitopts")

    @property
    def environment(self) -> Path:
        return self._beside(".environment")

    @property
    def report(self) -> Path:
        return self._beside(".report")

    @property
    def log(self) -> Path:
        return self._beside(".log")

    def write_properties(self, values: dict[str, str], encoding: str) -> None:
        """Write Spark's properties for nobody but us; non-ASCII as \\uXXXX, which any reader takes."""
        text = javaproperties.dumps(values, timestamp=False, ensure_ascii=True)
        write_private(self.properties, text.encode(encoding))

    def write_java_options(self, text: str) -> None:
        """Write a Java argument file; "" removes the one of an earlier start."""
        _write_or_remove(self.java_options, text)

    def write_submit_options(self, text: str) -> None:
        """Write the one of SPARK_SUBMIT_OPTS in the same way."""
        _write_or_remove(self.submit_options, text)

    def write_environment(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Write which variables change, each with the old value and the new one; null for none."""
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        changes = {name: [before.get(name), after.get(name)] for name in names}
        write_private(self.environment, json.dumps(changes).encode())

    def empty_report(self) -> None:
        """Make a file for the reports of the next process. The last process goes on to write into its own."""
        write_private(self.report, b"")

    def report_content(self) -> bytes:
        """Return what its process has reported, up to `REPORT_LIMIT` bytes. Raises OSError."""
        # A Path takes longer to be made than the file to be read, and a status reads those of all kernels.
        path = f"{os.path.splitext(self.connection_file)[0]}.report"
        # Without waiting: a notebook may have put something else in its place.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(file, REPORT_LIMIT)
        finally:
            os.close(file)

    def open_log(self) -> IO[bytes]:
        """Open the log of the kernel's output, emptied."""
        write_private(self.log, b"")
        return open(self.log, "r+b")

    def log_size(self) -> int:
        """Return how many bytes the log has; 0 when there is none."""
        try:
            return self.log.stat().st_size
        except OSError:
            return 0

    def last_lines(self, since: int = 0, count: int = 20, limit: int = 16384) -> list[str]:
        """Return at most `count` lines of the log, from the one on that says why the kernel died, else its last ones.

        They are within the last `limit` bytes, and none of the first `since`; [] when there is no log.
        """
        try:
            text = self._tail(since, limit).decode("utf-8", "replace")
        except OSError:
            return []
        return excerpt([line for line in text.splitlines() if line.strip()], count)

    def _tail(self, since: int, size: int) -> bytes:
        """Return the last whole lines of the log in `size` bytes; of a longer line, its end.

        A log that has become shorter than `since` begins anew.
        """
        with open(self.log, "rb") as file:
            while True:
                end = os.fstat(file.fileno()).st_size
                file.seek(max(since if since <= end else 0, end - size - 1))
                content = file.read(size + 1)
                # Else the log was cut just then, and its end is elsewhere.
                if os.fstat(file.fileno()).st_size >= end:
                    break
        # One byte more tells whether the first line is whole.
        return content if len(content) <= size else content.partition(b"\n")[2] or content[1:]

    def remove(self) -> None:
        """Remove what we wrote, half-written files too; the connection file is jupyter_client's."""
        for path in (self.properties, self.java_options, self.submit_options, self.environment, self.report, self.log):
            path.unlink(missing_ok=True)
            temporary(path).unlink(missing_ok=True)


def _write_or_remove(path: Path, text: str) -> None:
    if text:
        write_private(path, text.encode())
    else:
        path.unlink(missing_ok=True)
