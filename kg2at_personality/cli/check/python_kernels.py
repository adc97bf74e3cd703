"""Checks what runs Python notebooks: the interpreter, its ipykernel, a pyspark of this Spark, the workers' Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...errors import InstallationError
from ...spark.conf import SparkConf
from ...spark.installation import Spark
from ...spark.python_finder import PythonFinder, PythonInstallation
from ...spark.workers_python import PROPERTY, check_minor, is_all_here, minor_on_workers, named_by
from ...system.own_hosts import hosts_here
from .finding import Finding, error, failed, ok, warning, with_advice
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
    """Yield what runs Python notebooks, what may go wrong, and what runs their tasks."""
    parts = f"ipykernel {python.ipykernel}, pyspark {python.pyspark}"
    yield ok(CHECK, f"Python {python.version} in {python.executable}, {parts}")
    for sentence in python.notes:
        yield warning(CHECK, *with_advice(sentence))
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


def far_workers(subject: Subject, hosts: Iterable[str]) -> Iterator[Finding]:
    """Warn of workers elsewhere (their `hosts`) that would look for the notebooks' own interpreter.

    That is taken where the master is this machine, and nobody says which. Blocking: looks up the names.
    """
    conf = subject.conf
    if conf is None or named_by(conf) or not is_all_here(conf):
        return
    try:
        python = python_of(subject, subject.launcher.finder.spark(conf.environ))
    except InstallationError:
        return
    if not isinstance(python, PythonInstallation):
        return
    away = set(hosts) - hosts_here(hosts)
    if away:
        said = f"{python.workers_python}, the notebooks' own, which has to be on {', '.join(sorted(away))} too"
        yield warning(WORKERS, said, f"set {PROPERTY} to one that is on each worker")
