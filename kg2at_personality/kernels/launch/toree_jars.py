"""Toree's assembly as two jars: Toree's own classes, and the rest.

Toree looks for its magics by reading all classes in the jar that it is in itself, and in those whose path holds "toree"
(PluginManager.initialize, PluginSearcher): 14,000 in the assembly, 500 in a jar of its own.
"""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import InstallationError
from ...system.file_digests import FileDigests
from ...system.private_directory import last_changed, private_directory, put_in_place

_OWN = "org/apache/toree/"
#: What of the rest runs on executors, which get the slim jar alone: `%%dataframe` makes JSON there
#: (DataFrameConverter). Drivers take it from the rest, since their application's class loader asks its parent first.
_ON_EXECUTORS = ("play/", "com/fasterxml/jackson/datatype/")
_MANIFEST = "META-INF/MANIFEST.MF"
#: Configuration that would stand before the administrator's, whose directory follows the jars.
_CONFIGURATION = ("log4j*.properties", "log4j*.xml", "*-site.xml")
#: How many assemblies have their jars kept.
MOST = 4
#: Seconds after which what is half made is nobody's any more: its gateway was killed.
LEFT_AFTER = 600.0


@dataclass(frozen=True)
class ToreeJars:
    """Paths of the two jars."""

    slim: Path
    rest: Path


class ToreeJarCache:
    """Makes the jars in `directory`, and makes them anew when they are damaged. Safe for threads.

    Several gateways may share the directory: what they write is the same, and is put in its place at once.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._digests = FileDigests()

    def of(self, assembly: str) -> ToreeJars:
        """Return the jars of an assembly. Blocking: 1 s when it is new, 0.3 s at the first call, else nothing.

        Raises OSError and InstallationError when they can't be had.
        """
        if "toree" in str(self._directory).lower():
            raise InstallationError(f"its path, {self._directory}, holds 'toree'")
        with self._lock:
            folder = private_directory(
                private_directory(self._directory) / f"jars-{self._digests.of(Path(assembly))[:16]}"
            )
            jars = ToreeJars(folder / "slim.jar", folder / "rest.jar")
            if not self._is_good(folder, jars):
                self._make(Path(assembly), folder, jars)
            os.utime(folder)
        return jars

    def _is_good(self, folder: Path, jars: ToreeJars) -> bool:
        try:
            sums = json.loads((folder / "sums.json").read_bytes())
            return bool(sums == self._sums(jars))
        except (OSError, ValueError):
            return False

    def _sums(self, jars: ToreeJars) -> dict[str, str]:
        return {path.name: self._digests.of(path) for path in (jars.slim, jars.rest)}

    def _make(self, assembly: Path, folder: Path, jars: ToreeJars) -> None:
        for left in folder.glob("*.*.*"):
            if last_changed(left) < time.time() - LEFT_AFTER:
                left.unlink(missing_ok=True)
        try:
            put_in_place(jars.slim, lambda beside: _write_slim(assembly, beside))
            put_in_place(jars.rest, lambda beside: _write_rest(assembly, beside))
        except zipfile.BadZipFile as error:
            raise InstallationError(f"{assembly} is damaged") from error
        sums = json.dumps(self._sums(jars))
        put_in_place(folder / "sums.json", lambda beside: beside.write_text(sums))
        self._remove_old()

    def _remove_old(self) -> None:
        folders = sorted(self._directory.glob("jars-*"), key=last_changed, reverse=True)
        for folder in folders[MOST:]:
            shutil.rmtree(folder, ignore_errors=True)


def _write_slim(assembly: Path, path: Path) -> None:
    with zipfile.ZipFile(assembly) as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as slim:
        for info in whole.infolist():
            if info.filename.startswith((_OWN, *_ON_EXECUTORS)) or info.filename == _MANIFEST:
                slim.writestr(info, whole.read(info))


def _write_rest(assembly: Path, path: Path) -> None:
    """Copy the assembly, and leave out of the copy's directory what is not for it: so nothing is compressed anew."""
    shutil.copyfile(assembly, path)
    with zipfile.ZipFile(path, "a") as rest:
        entries = rest.infolist()
        entries[:] = list(_rest(entries))
        rest.comment = b"kg2at"  # has the directory written


def _rest(entries: list[zipfile.ZipInfo]) -> Iterator[zipfile.ZipInfo]:
    for info in entries:
        is_configuration = any(fnmatch.fnmatch(info.filename, pattern) for pattern in _CONFIGURATION)
        if not is_configuration and (info.is_dir() or not info.filename.startswith(_OWN)):
            yield info
