"""Python: an ipykernel with PySpark, whose JVM begins when a cell first uses Spark."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ...spark.conf import SparkConf
from ...spark.installation import Installation
from ...spark.installation_finder import InstallationFinder
from ...spark.python_finder import PythonFinder, PythonInstallation
from ..files import KernelFiles
from .fixed import options_of, variables
from .plan import LaunchOptions, Plan, Runtime

#: Run by the notebook's interpreter, which need not be the gateway's: it is a program of its own.
PROGRAM = Path(__file__).parents[2] / "spark_python"
#: Variables that are read by the C library, and by Python, IPython and Jupyter once.
_NAMES = frozenset("LANG LANGUAGE LIBPATH HOME VIRTUAL_ENV".split())
_NAME_PREFIXES = ("PYTHON", "LD_", "DYLD_", "LC_", "IPYTHON", "JUPYTER_", "_BPX", "_CEE", "_EDC")


@dataclass(frozen=True)
class PythonRuntime(Runtime):
    """An ipykernel, launched by itself; PySpark launches spark-submit."""

    python: PythonInstallation

    interpreters: ClassVar[tuple[str, ...]] = ("Python",)
    waiting_mib: ClassVar[int] = 60

    @classmethod
    def find(
        cls, finder: InstallationFinder, installation: Installation, conf: SparkConf, options: LaunchOptions
    ) -> PythonRuntime:
        return cls(PythonFinder(options.python).find(conf, installation.spark))

    @property
    def product(self) -> tuple[str, str]:
        return "Python", self.python.version

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.python.notes

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.python.executable,)

    def application(self, interpreter: str) -> str:
        return "Apache Spark - Python"

    def command(self, plan: Plan, files: KernelFiles, env: Mapping[str, str]) -> list[str]:
        return [
            *plan.nice,
            self.python.executable,
            str(PROGRAM),
            *("-f", files.connection_file),
            f"--SparkKernel.spark_context={plan.options.spark_context}",
        ]

    def variables(self, env: Mapping[str, str], files: KernelFiles) -> dict[str, str]:
        path = [*self.python.python_path, *filter(None, [env.get("PYTHONPATH")])]
        found = {"PYTHONPATH": os.pathsep.join(path)} if path else {}
        return found | {
            "PYSPARK_SUBMIT_ARGS": f"--properties-file {shlex.quote(str(files.properties))} pyspark-shell",
            "PYSPARK_PYTHON": self.python.workers_python,
            "PYSPARK_DRIVER_PYTHON": self.python.executable,
        }

    def fixed(self, plan: Plan, env: Mapping[str, str], cwd: str | None) -> dict[str, str]:
        return {
            **variables(env, _NAMES, _NAME_PREFIXES),
            "Python": self.python.executable,
            **options_of(plan),
        }

    @classmethod
    def receiver(cls, files: KernelFiles) -> str:
        return "get_ipython().kernel.wait_for_user()"
