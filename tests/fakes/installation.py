"""Installations of Spark, Java and Toree that consist of the files by which kg2at knows them."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from kg2at_personality.spark.submit_command import SCRIPT

PYSPARK_CLASS = "org/apache/toree/kernel/interpreter/pyspark/PySparkInterpreter.class"
BUILD_INFO = "org/apache/toree/kernel/BuildInfo$.class"
#: For a unit test of what Spark's own scripts do.
needs_spark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None and not os.environ.get("SPARK_HOME"), reason="no Spark is installed"
)


def make_spark(root: Path, core: str = "3.5.9", scala: str = "2.12", library: str = "") -> Path:
    """Make a Spark tree: no spark-core jar without `core`, scala-library of `scala` or named `library`."""
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "spark-submit").write_text("#!/bin/sh\n")
    (root / "jars").mkdir()
    if core:
        (root / "jars" / f"spark-core_{scala}-{core}.jar").touch()
    (root / "jars" / (library or f"scala-library-{scala}.18.jar")).touch()
    return root


def add_pyspark(
    spark: Path, version: str = "3.5.9", package: bool = True, zips: bool = True, py4j: bool = True
) -> None:
    """Add python/ to a Spark tree: the package as a directory, and what Spark has in python/lib."""
    lib = spark / "python" / "lib"
    lib.mkdir(parents=True)
    for name, wanted in (("pyspark.zip", zips), ("py4j-0.10.9.7-src.zip", py4j)):
        if wanted:
            (lib / name).touch()
    if package:
        make_package(spark / "python" / "pyspark", version)


def make_package(folder: Path, version: str = "3.5.9") -> Path:
    """Make a directory that is the package pyspark of a version."""
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "version.py").write_text(f'# Made at its build.\n__version__: str = "{version}"\n')
    return folder


def make_python(path: Path, version: str = "3.11.7", script: str = "", **told: object) -> Path:
    """Make an interpreter that tells what is `told` of its packages when it is asked; `script` runs before that.

    Without `told` it has an ipykernel. Each question adds a line to the file beside it, PATH.asked.
    """
    answer = {"version": version, **(told or {"ipykernel": "7.4.0"})}
    path.parent.mkdir(parents=True, exist_ok=True)
    count = f"open({str(path) + '.asked'!r}, 'a').write('asked\\n')"
    tell = f"os.write(int(sys.argv[3]), {json.dumps(answer).encode()!r})"
    path.write_text("\n".join([f"#!{sys.executable} -IS", "import os, sys", count, script, tell, ""]))
    path.chmod(0o755)
    return path


def make_java(root: Path, version: str | None = "17.0.15", script: str = "exit 1") -> Path:
    """Make a Java home; without `version` no release file, so that bin/java (a shell `script`) has to be asked."""
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "java").write_text(f"#!/bin/sh\n{script}\n")
    (root / "bin" / "java").chmod(0o755)
    if version:
        (root / "release").write_text(f'JAVA_VERSION_DATE="2025"\nMY_JAVA_VERSION="9"\nJAVA_VERSION="{version}"\n')
    return root


def write_submit(spark: Path) -> None:
    """Have a Spark tree's spark-submit be the one that Spark comes with."""
    script = spark / "bin" / "spark-submit"
    script.write_text("\n".join(("#!/usr/bin/env bash", *SCRIPT, "")))
    script.chmod(0o755)


def make_launcher(java: Path, options: tuple[str, ...] = (), otherwise: str = "exit 1") -> None:
    """Have a Java answer as Spark's launcher does, with these options for drivers; else it runs `otherwise`."""
    words = ["$JAVA_HOME/bin/java", "-cp", "$SPARK_CONF_DIR/:$SPARK_HOME/jars/*", "-Xmx1g", *options]
    words += ["org.apache.spark.deploy.SparkSubmit", "--class", "x", "y"]
    told = " ".join(f'"{word}"' for word in words)
    is_launcher = 'case "$*" in *org.apache.spark.launcher.Main*)'
    answer = f"{is_launcher} printf '\\0\\n'; printf '%s\\0' {told}; exit;; esac"
    (java / "bin" / "java").write_text(f"#!/bin/sh\n{answer}\n{otherwise}\n")


def make_jar(path: Path, version: str = "0.5.0", scala: str = "2.12.15", *more: str, method: int = 8) -> Path:
    """Make a Toree assembly with a BuildInfo class as sbt-buildinfo makes it; none if `scala` is ""."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as jar:
        for other in ("x/META-INF/MANIFEST.MF", "META-INF/MANIFEST.MF.old"):
            jar.writestr(other, "Implementation-Version: 9.9.9\n")
        jar.writestr("META-INF/MANIFEST.MF", f"Manifest-Version: 1.0\nImplementation-Version: {version}-incubating\n")
        for name in ("org/apache/toree/Main.class", *more):
            jar.writestr(name, b"\xca\xfe\xba\xbe")
        if scala:
            constants = (b"toree-protocol", f"{version}-incubating".encode(), scala.encode(), b"1.5.5", b"3.0.3")
            jar.writestr(BUILD_INFO, b"".join(b"\x01\x00" + bytes([len(c)]) + c + b"\x08\x00\x07" for c in constants))
    return path


def make_spec(kernels: Path, name: str, spec: object, toree: bool = True) -> Path:
    """Make an installed kernelspec with kernel.json as given."""
    folder = kernels / name
    folder.mkdir(parents=True)
    text = spec if isinstance(spec, str) else json.dumps(spec)
    (folder / "kernel.json").write_text(text + (" " if toree else ""))
    return folder


def toree_spec(folder: Path, **env: object) -> dict[str, object]:
    """Return kernel.json as `jupyter toree install` writes it."""
    return {"argv": [f"{folder}/bin/run.sh", "--profile", "{connection_file}"], "env": {"__TOREE_OPTS__": "", **env}}
