"""A Python interpreter, as it tells itself: its version, and the packages that a notebook needs."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from ..errors import InstallationError
from ..json_fields import Fields, parse
from ..system.time_limits import run_within
from . import python_probe
from .redaction import Redactor

#: A Python before 3.8 can't run the probe, and needs not: it is too old. The current directory is no place of packages.
_ASK = """
import json, os, sys
if sys.path[:1] == [""]: del sys.path[0]
if sys.version_info >= (3, 8):
    exec(sys.argv[2])
    told = told()
else:
    told = {"version": "%d.%d.%d" % sys.version_info[:3]}
os.write(int(sys.argv[1]), json.dumps(told).encode("ascii"))
"""
#: Bytes of an answer that are read; a real one has 1,000.
ANSWER_LIMIT = 65536
#: Nanoseconds since the last change after which an answer is kept: pip may be at work while the interpreter is asked.
SETTLED = 10**9
#: What decides, beside the interpreter itself, where it looks for packages.
_PATHS = ("HOME", "PYTHONHOME", "PYTHONNOUSERSITE", "PYTHONPATH", "PYTHONUSERBASE")


@dataclass(frozen=True)
class Interpreter:
    """`executable` is an absolute path, `version` as in "3.11.7", `ipykernel` the version of that package.

    `pyspark`, `py4j` and `setuptools` are the directories of those packages. "" where it has no such package. `watched`
    are the directories in which packages come and go.
    """

    executable: str
    version: str
    ipykernel: str = ""
    pyspark: str = ""
    py4j: str = ""
    setuptools: str = ""
    watched: tuple[str, ...] = ()

    @property
    def minor(self) -> str:
        """Return the version that driver and workers must share, as in "3.11"."""
        return minor(self.version)

    def is_at_least(self, *version: int) -> bool:
        """Return whether its version is at least so high."""
        return numbers(self.version) >= version


@dataclass(frozen=True)
class _Known:
    """What an interpreter has told, and the times at which the files that decide it were changed."""

    told: Interpreter
    changed: Sequence[int]


_known: dict[tuple[str | None, ...], _Known] = {}


def minor(version: str) -> str:
    """Return "3.11" of "3.11.7"."""
    return ".".join(version.split(".")[:2])


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version: (3, 5, 9) of "3.5.9", (4, 1, 0) of "4.1.0.dev0"."""
    found: list[int] = []
    for part in version.replace("-", ".").split("."):
        if not part.isdigit():
            break
        found.append(int(part))
    return tuple(found)


def path_of(name: str, environ: Mapping[str, str]) -> str:
    """Return the absolute path of an interpreter: a `name` without a slash is looked up on the PATH of `environ`.

    Raises InstallationError when it is not there.
    """
    if "/" in name:
        return os.path.abspath(os.path.expanduser(name))
    found = shutil.which(name, path=environ.get("PATH", ""))
    if found is None:
        raise InstallationError(f"there is no {name} on the PATH")
    return os.path.abspath(found)


def interpreter_at(executable: str, environ: Mapping[str, str], timeout: float) -> Interpreter:
    """Return what the interpreter at an absolute path tells when it is started in `environ`.

    Blocking: 1 ms for the one that runs this, 0.1 s for another, nothing for that until it or its packages change.
    Raises InstallationError with what is wrong with it, as the end of a sentence.
    """
    if executable == sys.executable and environ.get("PYTHONPATH") == os.environ.get("PYTHONPATH"):
        importlib.invalidate_caches()  # a package may have come since this process began
        return _read(executable, python_probe.told())
    key = (executable, *(environ.get(name) for name in _PATHS))
    known = _known.get(key)
    if known and known.changed == _changed(known.told):
        return known.told
    began = time.time_ns()
    told = _read(executable, _ask(executable, environ, timeout))
    changed = _changed(told)
    if max(changed) < began - SETTLED:
        _known[key] = _Known(told, changed)
    return told


def _changed(told: Interpreter) -> list[int]:
    """Return when the interpreter and each directory of its packages were changed, 0 for what is not there."""
    return [_changed_at(path) for path in (told.executable, *told.watched)]


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except (OSError, ValueError):
        return 0


def _read(executable: str, answer: object) -> Interpreter:
    """Return what `answer` says. Raises InstallationError for one of another shape."""
    try:
        fields = Fields(answer)
        words = {name: fields.text(name, "") for name in ("ipykernel", "pyspark", "py4j", "setuptools")}
        watched = tuple(fields.texts("watched")) if "watched" in fields.content else ()
        return Interpreter(executable, fields.text("version"), **words, watched=watched)
    except ValueError:
        raise InstallationError(f"{executable} answers as no Python does") from None


def _ask(executable: str, environ: Mapping[str, str], timeout: float) -> object:
    """Run the probe. Raises InstallationError."""
    with TemporaryFile() as answer, TemporaryFile() as errors:
        text = Path(python_probe.__file__).read_text(encoding="utf-8")
        argv = [executable, "-c", _ASK, str(answer.fileno()), text]
        try:
            status = run_within(timeout, argv, env=environ, stderr=errors, pass_fds=[answer.fileno()])
        except subprocess.TimeoutExpired:
            raise InstallationError(f"{executable} did not answer within {timeout:g} s") from None
        except (OSError, ValueError) as error:
            problem = error.strerror if isinstance(error, OSError) else error
            raise InstallationError(f"{executable} can't be run: {problem}") from None
        if status:
            raise InstallationError(f"{executable} ended with status {status}{_last_line(errors, environ)}")
        answer.seek(0)
        try:
            return parse(answer.read(ANSWER_LIMIT).decode("ascii"))
        except ValueError:
            raise InstallationError(f"{executable} answers as no Python does") from None


def _last_line(errors: IO[bytes], environ: Mapping[str, str]) -> str:
    """Return the end of what it said, secrets masked; "" when it said nothing."""
    errors.seek(0)
    lines = errors.read(ANSWER_LIMIT).decode("utf-8", "replace").strip().splitlines()
    return f": {Redactor(values=environ).text(lines[-1])}" if lines else ""
