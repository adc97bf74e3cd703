"""Which Python runs the tasks of a Python notebook on the workers."""

from __future__ import annotations

import re

from ..errors import InstallationError
from ..system.loopback import is_loopback
from ..system.own_hosts import hosts_here
from .conf import SparkConf
from .master_url import is_local
from .python_interpreter import Interpreter, interpreter_at, path_of

PROPERTY, VARIABLE = "spark.pyspark.python", "PYSPARK_PYTHON"
#: Of no effect: a worker's Python has it in its environment, but the driver alone says which Python that is
#: (`pythonExec` of pyspark/context.py, which PythonWorkerFactory runs).
FOR_EXECUTORS = f"spark.executorEnv.{VARIABLE}"


def workers_python(conf: SparkConf, driver: Interpreter) -> str:
    """Return the PYSPARK_PYTHON of a notebook that `driver` runs: a path or a name, which the workers look up.

    As Spark: the property, then the variable. Else the driver's own where the workers are here, and elsewhere a Python
    of its minor version (Spark takes `python3`, whatever that is). Blocking: looks up the masters' names.
    """
    return named_by(conf) or (driver.executable if is_all_here(conf) else f"python{driver.minor}")


def named_by(conf: SparkConf) -> str:
    """Return the workers' Python that somebody set; "" where nobody did."""
    return conf.get(PROPERTY) or conf.environ.get(VARIABLE) or ""


def is_all_here(conf: SparkConf) -> bool:
    """Return whether the workers are this machine: all that `local` masters have, and likely those of a master here.

    Blocking: looks up the masters' names, for less than a second.
    """
    if is_local(conf.master):
        return True
    named = {host for host in conf.master_hosts if not is_loopback(host)}
    return bool(conf.master_hosts) and named == hosts_here(named)


def minor_on_workers(name: str, conf: SparkConf, timeout: float) -> str:
    """Return the minor version of the workers' Python `name`, as in "3.11"; "" where that can't be told from here.

    Blocking, as `interpreter_at`. Raises InstallationError when the workers are here and it can't be run.
    """
    if is_all_here(conf):
        return interpreter_at(path_of(name, conf.environ), conf.environ, timeout).minor
    found = re.search(r"(?:^|/)python(3\.\d+)$", name)
    return found[1] if found else ""


def check_minor(driver: str, workers: str, name: str) -> None:
    """Raise InstallationError when driver and workers have different minor versions. No-op if one is not known."""
    if driver and workers and driver != workers:
        problem = (
            f"The notebook runs Python {driver}, and its workers Python {workers} ({name}): they must be the same."
        )
        remedy = f"Set {PROPERTY} to a Python {driver} that is on every worker, or python to a Python {workers}."
        raise InstallationError(f"{problem} {remedy}")
