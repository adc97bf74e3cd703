"""Which Python runs a notebook, with which PySpark, and which one runs its tasks on the workers."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import InstallationError, WrongPlace
from . import workers_python
from .conf import SparkConf
from .installation import Spark
from .pyspark_package import check_python, check_spark, doubts, pyspark_for
from .python_interpreter import Interpreter, interpreter_at, minor, numbers, path_of

PROPERTY, VARIABLE = "spark.pyspark.driver.python", "PYSPARK_DRIVER_PYTHON"
#: Programs that people name as PYSPARK_DRIVER_PYTHON, to have a notebook of their own.
_FRONT_END = re.compile(r"(?:.*/)?(?:jupyter|ipython)(?:[-\d.][^/]*)?")
LEAST_IPYKERNEL = (6,)


@dataclass(frozen=True)
class PythonInstallation:
    """What a Python notebook is launched with.

    `executable` is an absolute path; `version`, `ipykernel` and `pyspark` are versions; PYTHONPATH has to begin with
    `python_path`. `workers_python` is the kernel's PYSPARK_PYTHON: a path or a name, which the workers look up. `notes`
    tell what was set in vain, and what may go wrong, each with what to do in its last sentence.
    """

    executable: str
    version: str
    ipykernel: str
    pyspark: str
    python_path: tuple[str, ...]
    workers_python: str
    notes: tuple[str, ...] = ()

    @property
    def minor(self) -> str:
        """Return the version that its workers must have, too, as in "3.11"."""
        return minor(self.version)


@dataclass(frozen=True)
class _Named:
    """An interpreter as somebody named it, at a place called `place` in messages."""

    place: str
    name: str

    @property
    def is_front_end(self) -> bool:
        return _FRONT_END.fullmatch(self.name) is not None


@dataclass(frozen=True)
class PythonFinder:
    """Finds the Python of notebooks. `python` is the trait's value, a path or a name; "" looks elsewhere.

    `timeout` is in seconds, for an interpreter's answer, which takes 0.1.
    """

    python: str = ""
    timeout: float = 5.0

    def find(self, conf: SparkConf, spark: Spark) -> PythonInstallation:
        """Return what a Python notebook is launched with, on `spark`, under `conf`.

        Blocking: 2 ms, 0.1 s more for another interpreter than the gateway's own that is new, and up to a second for
        masters that nobody knows. Raises WrongPlace when the trait is no good, InstallationError when there is no
        Python, or no PySpark.
        """
        check_spark(spark)
        *passed, chosen = self._named(conf)
        interpreter = self._checked(chosen, conf, spark)
        pyspark = pyspark_for(spark, interpreter)
        return PythonInstallation(
            interpreter.executable,
            interpreter.version,
            interpreter.ipykernel,
            pyspark.version,
            pyspark.python_path,
            workers_python.workers_python(conf, interpreter),
            (*_notes(passed, conf), *_doubts(interpreter), *doubts(pyspark.version, interpreter)),
        )

    def _named(self, conf: SparkConf) -> list[_Named]:
        """Return the interpreter to use, after the front ends that are passed over.

        The trait, then as Spark (SparkSubmitCommandBuilder.buildPySparkShellCommand), else the gateway's own.
        """
        if self.python:
            return [_Named("trait python", self.python)]
        named: list[_Named] = []
        for each in _named_for_spark(conf):
            named.append(each)
            if not each.is_front_end:
                return named
        return [*named, _Named("the gateway's own Python", sys.executable or "python3")]

    def _checked(self, named: _Named, conf: SparkConf, spark: Spark) -> Interpreter:
        """Return the interpreter if it can run a notebook. Raises as `find`."""
        try:
            interpreter = interpreter_at(path_of(named.name, conf.environ), conf.environ, self.timeout)
            check_python(spark, interpreter)
            _check_ipykernel(interpreter)
        except InstallationError as error:
            problem = f"Python: {named.place} is {named.name!r}, but that won't do: {error}."
            remedy = "Set python to one with ipykernel."
            raise (WrongPlace if self.python else InstallationError)(f"{problem} {remedy}") from None
        return interpreter


def _named_for_spark(conf: SparkConf) -> Iterator[_Named]:
    """Yield what the configuration names, in Spark's order."""
    for key in (PROPERTY, workers_python.PROPERTY):
        if conf.get(key):
            yield _Named(f"{key} ({conf.entry(key).where})", conf[key])
    for variable in (VARIABLE, workers_python.VARIABLE):
        if name := conf.environ.get(variable):
            yield _Named(f"${variable}", name)


def _check_ipykernel(interpreter: Interpreter) -> None:
    """Raise InstallationError for an interpreter without an ipykernel that is new enough."""
    if not interpreter.ipykernel:
        raise InstallationError(f"it has no ipykernel (`{interpreter.executable} -m pip install ipykernel` brings it)")
    if numbers(interpreter.ipykernel) < LEAST_IPYKERNEL:
        raise InstallationError(f"its ipykernel is {interpreter.ipykernel}, and 6 or later is needed")


def _doubts(interpreter: Interpreter) -> Iterator[str]:
    """Yield what goes wrong now and then with an ipykernel that has the threads of 7.0, and not the cure of 7.4.

    Its thread for the shell channel may leave an answer where it is until the next message comes.
    """
    if (7,) <= numbers(interpreter.ipykernel) < (7, 4):
        problem = f"ipykernel {interpreter.ipykernel} keeps an answer back now and then, until the next message comes."
        better = "ipykernel>=7.4" if interpreter.is_at_least(3, 11) else "ipykernel<7"
        yield f"{problem} `{interpreter.executable} -m pip install '{better}'` brings one that does not."


def _notes(passed: list[_Named], conf: SparkConf) -> Iterator[str]:
    for each in passed:
        yield f"{each.place} is {each.name!r}, a front end and no Python: it is passed over. Name a Python there."
    if workers_python.FOR_EXECUTORS in conf:
        key, where = workers_python.FOR_EXECUTORS, conf.entry(workers_python.FOR_EXECUTORS).where
        yield f"{where}: {key} does not choose the workers' Python. Set {workers_python.PROPERTY}."
