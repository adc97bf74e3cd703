"""What the jar of a Toree assembly says about itself."""

from __future__ import annotations

import functools
import os
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass

from ..errors import InstallationError

# The Scala that a release of Toree is built for: scalaVersion in build.sbt at its tag. 0.6 comes for 2.12 and for 2.13.
SCALA_OF_TOREE = {"0.1": "2.10", "0.2": "2.11", "0.3": "2.11", "0.4": "2.11", "0.5": "2.12"}

_MAIN = "org/apache/toree/Main.class"
_BUILD_INFO = "org/apache/toree/kernel/BuildInfo$.class"
_PYSPARK = "org/apache/toree/kernel/interpreter/pyspark/"
# BadZipFile, and what zipfile and zlib raise themselves for damaged or unusual entries.
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError, RuntimeError)


@dataclass(frozen=True)
class Assembly:
    """`version` of Toree ("0.5.0") and of Scala (`scala`, "2.12"), "" when not told; whether PySpark is in it."""

    version: str
    scala: str
    has_pyspark: bool


def read_assembly(path: str) -> Assembly:
    """Read the jar at `path`: 60 ms for Toree's 14,000 entries, nothing until the file changes. Blocking.

    Raises OSError, and InstallationError for what is no Toree assembly.
    """
    return _read(path, os.stat(path).st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _read(path: str, mtime: int) -> Assembly:
    try:
        with zipfile.ZipFile(path) as jar:
            names = jar.namelist()
            manifest, build_info = _member(jar, "META-INF/MANIFEST.MF"), _member(jar, _BUILD_INFO)
    except _DAMAGED:
        raise InstallationError(f"{path} is no jar, or a damaged one") from None
    if _MAIN not in names:
        raise InstallationError(f"{path} is no Toree assembly: it has no {_MAIN}")
    version = re.search(r"Implementation-Version: ([\d.]+\d)", manifest)
    number = version[1] if version else ""
    return Assembly(number, _scala(build_info, number), any(name.startswith(_PYSPARK) for name in names))


def _scala(build_info: str, version: str) -> str:
    """Return the Scala that the assembly is built for: by its BuildInfo class, else by the table of releases.

    sbt-buildinfo compiles scalaVersion into that class since Toree 0.2, as a UTF-8 constant of a class file (tag 1,
    two bytes of length, text) such as "2.12.15".
    """
    found = re.search(r"(?s)\x01\x00.(2\.1\d)\.\d", build_info)
    return found[1] if found else SCALA_OF_TOREE.get(version.rpartition(".")[0], "")


def _member(jar: zipfile.ZipFile, name: str) -> str:
    """Return the bytes of an entry as Latin-1, "" when there is none of this name."""
    try:
        return jar.read(name).decode("latin-1")
    except KeyError:
        return ""
