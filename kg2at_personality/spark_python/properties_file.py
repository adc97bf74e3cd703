"""The kernel's properties file: what it was admitted with. What a user's code asks for beside is added to it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping

_SPECIAL = re.compile(r"[^\w./-]", re.ASCII)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_KEY = re.compile(r"(?:\\.|[^\\=:\s])*")
_NAMED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


class PropertiesFile:
    """A file in Java's format (java.util.Properties.load), which nobody but its owner may read.

    `admitted` is what the gateway wrote; the file may hold more later.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path
        self._content = ""
        if path is not None:
            with open(path, encoding="latin-1") as file:
                self._content = file.read()
        self.admitted = dict(_entries(self._content))

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> PropertiesFile:
        """Return the file that the next JVM reads, by PYSPARK_SUBMIT_ARGS; one without path when there is none."""
        words = shlex.split(environ.get("PYSPARK_SUBMIT_ARGS", ""))
        places = [place for place, word in enumerate(words[:-1]) if word == "--properties-file"]
        return cls(words[places[-1] + 1] if places else None)

    def add(self, values: Mapping[str, str]) -> None:
        """Write what was admitted and these values, which come later and so count; earlier additions go."""
        if self.path is None:
            return
        lines = [f"{_escaped(key)}={_escaped(value)}\n" for key, value in values.items()]
        write_private(self.path, "".join([self._content.rstrip("\n"), "\n", *lines]).encode("latin-1"))


def write_private(path: str, content: bytes) -> None:
    """Write a file for nobody but its owner, at once. The gateway removes what a kernel that is killed leaves of it."""
    beside = path + ".new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(content)
    os.replace(beside, path)


def _escaped(text: str) -> str:
    """Return `text` so that any reader takes it, in any encoding that has ASCII."""

    def units(found: re.Match[str]) -> str:
        return re.sub("(....)", r"\\u\1", found[0].encode("utf-16-be", "surrogatepass").hex())

    return _SPECIAL.sub(units, text)


def _entries(content: str) -> Iterator[tuple[str, str]]:
    """Yield each key and value. A line that ends in an odd number of backslashes goes on in the next one."""
    for line in re.sub(r"(?<!\\)((?:\\\\)*)\\\r?\n[ \t\f]*", r"\1", content).splitlines():
        line = line.lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        key = _KEY.match(line)
        end = key.end() if key else 0
        value = re.sub(r"^[ \t\f]*[=:]?[ \t\f]*", "", line[end:])
        yield _unescaped(line[:end]), _unescaped(value)


def _unescaped(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        word = found[1]
        return chr(int(word[1:], 16)) if len(word) == 5 else _NAMED.get(word, word)

    joined = _ESCAPE.sub(plain, text)
    return joined.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
