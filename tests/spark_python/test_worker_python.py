"""What is read from Spark's errors of the workers' Python, and how errors are shown."""

from __future__ import annotations

import pytest

from kg2at_personality.spark_python.short_error import SparkStartError, reason
from kg2at_personality.spark_python.worker_python import problem

FACTORY = "\tat org.apache.spark.api.python.PythonWorkerFactory.startDaemon(PythonWorkerFactory.scala:213)\n"


class JavaException:
    def __init__(self, text: str) -> None:
        self.text = text

    def toString(self) -> str:
        return self.text


class JavaError(Exception):
    """py4j's, whose text the JVM tells."""

    def __init__(self, text: str, is_lost: bool = False) -> None:
        self.java_exception, self.text, self.is_lost = JavaException(text), text, is_lost

    def __str__(self) -> str:
        if self.is_lost:
            raise ConnectionError
        return self.text


@pytest.mark.parametrize(
    "text",
    [
        "Exception: Python in worker has different version 3.10 than that in driver 3.11, PySpark cannot",
        "[PYTHON_VERSION_MISMATCH] Python in worker has different version (3, 10) than that in driver 3.11, PySpark",
        "[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.10 than that in driver: 3.11, PySpark",
    ],
)
def test_versions(text: str) -> None:
    said = str(problem(JavaError(f"Job aborted\n{text}\n{FACTORY}")))
    assert said.startswith("Spark's workers run Python 3.10 and this notebook runs Python 3.11, but both need")


def test_a_missing_program() -> None:
    text = f'java.io.IOException: Cannot run program "/x/python3": error=2, No such file or directory\n{FACTORY}'
    said = str(problem(JavaError(text)))
    assert said.startswith(
        "Spark's workers can't run /x/python3 (No such file or directory). Have spark.pyspark.python"
    )
    assert problem(JavaError(text.replace("PythonWorkerFactory", "PipedRDD"))) is None


def test_other_errors() -> None:
    assert problem(ValueError("Python in worker has different version 3.10 than that in driver 3.11")) is None
    assert problem(JavaError("java.lang.RuntimeException: boom")) is None
    assert problem(JavaError("", is_lost=True)) is None


def test_reasons() -> None:
    java = JavaError("o.a.s.SparkException: Job aborted\n\nDriver stacktrace:\n\tat a.b(C.scala:1)\n\t... 3 more")
    assert reason(java) == "o.a.s.SparkException: Job aborted"
    assert reason(ValueError("[X] what\n\nJVM stacktrace:\no.a.Exception")) == "[X] what"
    assert reason(JavaError("")) == "JavaError"
    assert len(reason(ValueError("line\n" * 100)).splitlines()) == 20
    error = SparkStartError(ValueError("why"))
    assert error._render_traceback_() == ["SparkStartError: Spark could not be started: why"]
