"""The package pyspark of a Spark, for interpreters that have one of their own or none."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kg2at_personality.errors import InstallationError
from kg2at_personality.spark.installation import Spark
from kg2at_personality.spark.installation_finder import InstallationFinder
from kg2at_personality.spark.pyspark_package import PySpark, check_python, check_spark, pyspark_for
from kg2at_personality.spark.python_interpreter import Interpreter
from tests.fakes.installation import add_pyspark, make_package, make_spark, needs_spark

BARE = Interpreter("/opt/python", "3.11.7", "7.4.0")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_spark(tmp_path / "spark")


def spark_at(home: Path, version: str = "3.5.9") -> Spark:
    return Spark(str(home), version, "2.12")


def having(package: Path, py4j: str = "/site/py4j") -> Interpreter:
    """An interpreter with its own pyspark."""
    return Interpreter("/opt/python", "3.11.7", "7.4.0", str(package), py4j)


def refused(home: Path, interpreter: Interpreter = BARE) -> str:
    with pytest.raises(InstallationError) as caught:
        pyspark_for(spark_at(home), interpreter)
    return str(caught.value)


def test_the_directory_of_a_spark_goes_before_all(home: Path, tmp_path: Path) -> None:
    add_pyspark(home)
    lib = f"{home}/python/lib"
    expected = PySpark("3.5.9", (f"{home}/python", f"{lib}/py4j-0.10.9.7-src.zip"))
    assert pyspark_for(spark_at(home), BARE) == expected
    assert pyspark_for(spark_at(home), having(make_package(tmp_path / "pyspark"))) == expected


def test_the_package_of_pip_is_a_spark_with_zips(home: Path, tmp_path: Path) -> None:
    """Its python/pyspark holds a script and is no package."""
    add_pyspark(home, package=False)
    (home / "python" / "pyspark").mkdir()
    (home / "python" / "pyspark" / "shell.py").touch()
    lib = f"{home}/python/lib"
    assert pyspark_for(spark_at(home), BARE) == PySpark("3.5.9", (f"{lib}/pyspark.zip", f"{lib}/py4j-0.10.9.7-src.zip"))
    (tmp_path / "link").symlink_to(home)
    assert pyspark_for(spark_at(tmp_path / "link"), having(home)) == PySpark("3.5.9")


@pytest.mark.parametrize(
    ("version", "of_spark", "own"),
    [("3.5.9", "3.5.9", True), ("3.5.8", "3.5.9", False), ("4.1.0.dev0", "4.1.0-SNAPSHOT", True), ("3.5.9", "", False)],
)
def test_a_package_of_the_same_version(home: Path, tmp_path: Path, version: str, of_spark: str, own: bool) -> None:
    add_pyspark(home, package=False)
    found = pyspark_for(spark_at(home, of_spark), having(make_package(tmp_path / "pyspark", version)))
    assert (found.python_path == ()) == own and found.version == (version if own else of_spark)


def test_a_package_that_is_none(home: Path, tmp_path: Path) -> None:
    """Without py4j, without its version, or with one that can't be read."""
    package = make_package(tmp_path / "pyspark")
    assert "comes without PySpark" in refused(home, having(package, py4j=""))
    for content in (b"", b'__version__ = "\n', b'\xff__version__ = "3.5.9"'):
        (package / "version.py").write_bytes(content)
        assert "comes without PySpark" in refused(home, having(package))
    (package / "version.py").unlink()
    assert "comes without PySpark" in refused(home, having(package))


@pytest.mark.parametrize(("zips", "py4j", "lacking"), [(True, False, "py4j-*-src.zip"), (False, True, "pyspark.zip")])
def test_what_is_lacking(home: Path, zips: bool, py4j: bool, lacking: str) -> None:
    """As in Spark for z/OS 2.0.2, which comes without py4j."""
    add_pyspark(home, package=False, zips=zips, py4j=py4j)
    said = refused(home)
    assert f"there is no {home}/python/lib/{lacking}" in said
    assert said.endswith("`/opt/python -m pip install pyspark==3.5.9` brings it.")


@pytest.mark.parametrize(
    ("spark", "python", "fits"),
    [
        *(("3.0.0", "3.8.1", True), ("3.5.9", "3.7.17", False), ("", "3.8.1", True), ("", "3.7.17", False)),
        *(("4.0.1", "3.8.1", False), ("4.0.1", "3.9.0", True), ("4.3.0", "3.10.9", False), ("5.0.0", "3.11.0", True)),
    ],
)
def test_pythons_of_a_pyspark(spark: str, python: str, fits: bool) -> None:
    interpreter = Interpreter("/opt/python", python)
    if fits:
        check_python(Spark("/spark", spark, ""), interpreter)
    else:
        said = rf"it is Python {python}, and PySpark {spark} needs 3.\d+ or later"
        with pytest.raises(InstallationError, match=said):
            check_python(Spark("/spark", spark, ""), interpreter)


def test_sparks_without_a_pyspark_for_today() -> None:
    check_spark(Spark("/spark", "", ""))
    check_spark(Spark("/spark", "3.0.0", ""))
    for version in ("2.0.2", "2.4.8"):
        with pytest.raises(InstallationError, match=f"PySpark {version} ends at Python 3.7"):
            check_spark(Spark("/spark", version, ""))


@needs_spark
def test_the_real_pyspark_is_imported_so(tmp_path: Path) -> None:
    """Both ways that need PYTHONPATH, in a process that has no pyspark else: of a download, and of pip's package."""
    spark = InstallationFinder().spark(os.environ)
    zips = pyspark_for(spark, BARE)
    copy = make_spark(tmp_path / "download", spark.version)
    (copy / "python").mkdir()
    (copy / "python" / "lib").symlink_to(os.path.join(spark.home, "python", "lib"))
    with zipfile.ZipFile(os.path.join(spark.home, "python", "lib", "pyspark.zip")) as packed:
        packed.extractall(copy / "python")
    directory = pyspark_for(Spark(str(copy), spark.version, ""), BARE)
    for found in (zips, directory):
        code = "import pyspark, py4j.java_gateway; print(pyspark.__version__, pyspark.__file__)"
        environ = {"PYTHONPATH": os.pathsep.join(found.python_path)}
        argv = [sys.executable, "-S", "-c", code]
        version, file = subprocess.run(argv, env=environ, check=True, capture_output=True, text=True).stdout.split()
        assert version == spark.version and file.startswith(found.python_path[0])


@pytest.mark.skipif(importlib.util.find_spec("pyspark") is None, reason="pyspark is not installed")
def test_the_real_package_is_its_own_spark() -> None:
    from kg2at_personality.spark.python_interpreter import interpreter_at

    spark = InstallationFinder().spark({})
    interpreter = interpreter_at(sys.executable, os.environ, 60)
    assert pyspark_for(spark, interpreter) == PySpark(spark.version)
    elsewhere = Spark("/nowhere", spark.version, "")
    assert pyspark_for(elsewhere, interpreter) == PySpark(spark.version)
