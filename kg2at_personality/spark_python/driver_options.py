"""Java options that a notebook gives its driver: beside the kernel's own, and on no command line."""

from __future__ import annotations

import os
import re
import shlex
from typing import Mapping

from .properties_file import write_private

KEY = "spark.driver.extraJavaOptions"
#: The first number of JAVA_VERSION in a Java's file `release`, which is 1 up to Java 8.
_VERSION = re.compile(r'^JAVA_VERSION="(\d+)', re.MULTILINE)


class DriverOptions:
    """The options that a kernel was admitted with, perhaps by a Java argument file; `properties` is its other file."""

    def __init__(self, properties: str | None, admitted: Mapping[str, str], java_home: str) -> None:
        self._path = os.path.splitext(properties)[0] + ".javaopts" if properties else ""
        self._java_home = java_home
        own = admitted.get(KEY, "")
        self._own = _read(own[1:]) if own.startswith("@") else _lines(own)

    def hidden(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return the properties with an argument file for the options among them, which is written for it.

        As they are where there are none, and before Java 9, which takes no such files ("java @argfiles"). Raises
        OSError, and ValueError for an open quote.
        """
        wanted = values.get(KEY)
        if not wanted or not self._path or not self._takes_files():
            return dict(values)
        write_private(self._path, (self._own + _lines(wanted)).encode("utf-8", "surrogateescape"))
        return {**values, KEY: f"@{self._path}"}

    def _takes_files(self) -> bool:
        found = _VERSION.search(_read(os.path.join(self._java_home, "release")))
        return found is not None and int(found[1]) >= 9


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _lines(options: str) -> str:
    """Return options as an argument file has them: quoted, one a line."""
    words = [word.replace("\\", "\\\\").replace('"', '\\"') for word in shlex.split(options)]
    return "".join([f'"{word}"\n' for word in words])
