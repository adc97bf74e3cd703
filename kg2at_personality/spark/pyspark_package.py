"""PySpark: where the package `pyspark` of a Spark is, for an interpreter to import it."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InstallationError
from .installation import Spark
from .python_interpreter import Interpreter, numbers

#: The oldest Python for a PySpark from this version on (`python_requires` in python/packaging/classic/setup.py of each
#: release). That of Spark 2 ends at Python 3.7.
LEAST_PYTHON = {(4, 3): (3, 11), (4, 1): (3, 10), (4, 0): (3, 9), (3, 0): (3, 8)}


@dataclass(frozen=True)
class PySpark:
    """`python_path` is what PYTHONPATH must begin with: () where the interpreter has the package itself."""

    version: str
    python_path: tuple[str, ...] = ()


def check_spark(spark: Spark) -> None:
    """Raise InstallationError for a Spark whose PySpark runs on no Python of today. One of unknown version passes."""
    version = numbers(spark.version)
    if version and version < min(LEAST_PYTHON):
        problem = f"Python: PySpark {spark.version} ends at Python 3.7, and a notebook needs 3.8 or later."
        raise InstallationError(f"{problem} Set SPARK_HOME to a Spark 3.0 or later.")


def check_python(spark: Spark, interpreter: Interpreter) -> None:
    """Raise InstallationError when Spark's PySpark does not run on so old a Python."""
    version = numbers(spark.version)
    least = next((least for since, least in LEAST_PYTHON.items() if version >= since), (3, 8))
    if not interpreter.is_at_least(*least):
        needed = ".".join(map(str, least))
        problem = f"it is Python {interpreter.version}, and PySpark {spark.version} needs {needed} or later"
        raise InstallationError(problem)


def doubts(version: str, interpreter: Interpreter) -> Iterator[str]:
    """Yield what does not work with a PySpark of this `version`, and what to do."""
    # PySpark 4 has a loose_version of its own.
    if numbers(version) < (4,) and interpreter.is_at_least(3, 12) and not interpreter.setuptools:
        problem = f"PySpark {version} imports distutils when it meets pandas, and Python {interpreter.minor} has none."
        yield f"{problem} `{interpreter.executable} -m pip install setuptools` brings it."


def pyspark_for(spark: Spark, interpreter: Interpreter) -> PySpark:
    """Return the PySpark of `spark` for `interpreter`. Raises InstallationError when there is none.

    Directories go before zips, which are compiled at each import: `import pyspark.sql` of Spark 3.5 takes 0.1 s from
    the interpreter's own package, 0.16 s from a directory with py4j's zip, 0.45 s from two zips.
    """
    python = os.path.join(spark.home, "python")
    lib = os.path.join(python, "lib")
    py4j = next(iter(sorted(glob.glob(os.path.join(glob.escape(lib), "py4j-*-src.zip")))), "")
    # In the package pyspark of pip, python/pyspark has one script and is no package.
    if py4j and os.path.isfile(os.path.join(python, "pyspark", "__init__.py")):
        return PySpark(spark.version, (python, py4j))
    if own := _own(spark, interpreter):
        return own
    if py4j and os.path.isfile(os.path.join(lib, "pyspark.zip")):
        return PySpark(spark.version, (os.path.join(lib, "pyspark.zip"), py4j))
    lacking = os.path.join(lib, "pyspark.zip" if py4j else "py4j-*-src.zip")
    problem = f"Python: Spark {spark.version} in {spark.home} comes without PySpark: there is no {lacking}."
    remedy = f"`{interpreter.executable} -m pip install pyspark=={spark.version}` brings it."
    raise InstallationError(f"{problem} {remedy}")


def _own(spark: Spark, interpreter: Interpreter) -> PySpark | None:
    """Return the interpreter's own package when it is the Spark itself, or of the same version."""
    if not (interpreter.pyspark and interpreter.py4j):
        return None
    if os.path.realpath(interpreter.pyspark) == os.path.realpath(spark.home):
        return PySpark(spark.version)
    version = _version(interpreter.pyspark)
    return PySpark(version) if version and numbers(version)[:3] == numbers(spark.version)[:3] else None


def _version(package: str) -> str:
    """Return the version that the package itself tells, since installed metadata may be that of another one."""
    try:
        text = Path(package, "version.py").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    found = re.search(r"""(?m)^__version__\b[^=]*=\s*["'](\S+?)["']""", text)
    return found[1] if found else ""
