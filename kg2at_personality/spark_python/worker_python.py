"""What can be wrong with the Python of Spark's workers, read from Spark's own errors."""

from __future__ import annotations

import re

from .short_error import WorkerPythonError

#: pyspark/worker.py: "3.10" of Spark 3.0 to 3.3 and 4, "(3, 10)" of those between.
_VERSIONS = re.compile(
    r"Python in worker has different version:? \(?'?(\d+)(?:\.|, )(\d+)\)?'? than that in driver:? '?(\d+\.\d+)"
)
_PROGRAM = re.compile(r'Cannot run program "([^"\n]+)"[^\n]*?(?:error=\d+, ([^\n]+))?$', re.MULTILINE)
#: Other programs than Python are run too (RDD.pipe): this is Spark's class that runs Python.
_FACTORY = "api.python.PythonWorkerFactory"


def problem(error: Exception) -> WorkerPythonError | None:
    """Return the error to raise instead; None for any that is about something else."""
    if not hasattr(error, "java_exception"):
        return None
    try:
        text = str(error)  # Java's stack, and those of its causes
    except Exception:
        return None
    versions = _VERSIONS.search(text)
    if versions:
        return WorkerPythonError(_other_version(f"{versions[1]}.{versions[2]}", versions[3]))
    program = _PROGRAM.search(text) if _FACTORY in text else None
    return WorkerPythonError(_missing(program[1], program[2])) if program else None


def _other_version(worker: str, driver: str) -> str:
    return (
        f"Spark's workers run Python {worker} and this notebook runs Python {driver}, but both need the same minor"
        f" version. Have spark.pyspark.python (or PYSPARK_PYTHON) name a Python {driver} on the workers, or the"
        f" gateway's setting `python` a Python {worker}, and start a new kernel."
    )


def _missing(program: str, why: str | None) -> str:
    return (
        f"Spark's workers can't run {program}{f' ({why})' if why else ''}. Have spark.pyspark.python (or"
        " PYSPARK_PYTHON) name a Python that is on the workers, of this notebook's version, and start a new kernel."
    )
