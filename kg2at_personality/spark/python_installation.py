"""The Python that runs notebooks: its interpreter, its ipykernel, and a pyspark of the Spark that it uses."""

from __future__ import annotations

import glob
import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass

from ..errors import InstallationError
from .conf import SparkConf
from .installation import Spark


@dataclass(frozen=True)
class PythonInstallation:
    """`executable` is absolute, `version` its own ("3.11.7"); `python_path` is what PYTHONPATH has to begin with.

    `workers_python` is the interpreter of the executors' workers, as PYSPARK_PYTHON names it.
    """

    executable: str
    version: str
    python_path: tuple[str, ...]
    workers_python: str


def find_python(setting: str, spark: Spark, conf: SparkConf) -> PythonInstallation:
    """Return the Python of notebooks. Blocking. Raises InstallationError."""
    try:
        importlib.metadata.version("ipykernel")
    except importlib.metadata.PackageNotFoundError:
        raise InstallationError(f"{sys.executable} has no ipykernel. Install it: pip install ipykernel") from None
    lib = os.path.join(spark.home, "python", "lib")
    zips = [*glob.glob(os.path.join(lib, "pyspark.zip")), *glob.glob(os.path.join(lib, "py4j-*-src.zip"))]
    if len(zips) != 2:
        raise InstallationError(f"{lib} has no pyspark.zip and py4j-*-src.zip.")
    return PythonInstallation(sys.executable, platform.python_version(), tuple(zips), sys.executable)
