"""Checks what runs Python notebooks: the interpreter, its ipykernel, a pyspark of this Spark, the workers' Python."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import InstallationError
from ...spark.conf import SparkConf
from ...spark.installation import Spark
from ...spark.python_finder import PythonFinder, PythonInstallation
from ...spark.workers_python import PROPERTY, check_minor, minor_on_workers
from .finding import Finding, error, failed, ok, warning
from .subject import Subject

CHECK, WORKERS = "Python kernels", "workers' Python"
#: Seconds for an interpreter's answer; the whole check has to end within 3.
LIMIT = 0.9


def python_of(subject: Subject, spark: Spark) -> PythonInstallation | InstallationError | None:
    """Return what would run Python notebooks, or why nothing can. None where Spark's configuration is broken."""
    if subject.conf is None:
        return None
    try:
        return PythonFinder(subject.launcher.options.python, LIMIT).find(subject.conf, spark)
    except InstallationError as failure:
        return failure


def python_kernels(subject: Subject, python: PythonInstallation) -> Iterator[Finding]:
    """Yield what runs Python notebooks, what was set in vain, and what runs their tasks."""
    parts = f"ipykernel {python.ipykernel}, pyspark {python.pyspark}"
    yield ok(CHECK, f"Python {python.version} in {python.executable}, {parts}")
    for sentence in python.notes:
        yield warning(CHECK, sentence, "take it away where it is set")
    if subject.conf is not None:
        yield _workers(python, subject.conf)


def _workers(python: PythonInstallation, conf: SparkConf) -> Finding:
    """Compare the minor versions of driver and workers where the workers are here, or their Python's name tells."""
    name = python.workers_python
    try:
        minor = minor_on_workers(name, conf, LIMIT)
    except InstallationError as failure:
        return error(WORKERS, f"{name}: {failure}", f"set {PROPERTY} to a Python {python.minor} that is on each worker")
    try:
        check_minor(python.minor, minor, name)
    except InstallationError as failure:
        return failed(WORKERS, failure)
    if minor:
        return ok(WORKERS, f"{name}, which is Python {minor} as the notebooks are")
    return ok(WORKERS, f"{name} of each worker, not seen from here; it has to be Python {python.minor}")
