"""Toree: a driver in Scala, whose notebooks hold Scala or SQL."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...spark.conf import SparkConf
from ...spark.installation import Installation, Toree
from ...spark.installation_finder import InstallationFinder
from ...spark.java_options import UTF_8, split
from ..files import KernelFiles
from . import toree_fixed, toree_hand_out, toree_interrupt, toree_report, toree_setup
from .archive_training import Command
from .fast_start import tuning
from .java_options import JAVA_VARIABLES, driver_options, written_options
from .plan import LaunchOptions, Plan, Runtime

#: Toree finds its magics by opening jar files, which Java 9 and later forbid unless told otherwise.
ADD_OPENS = "--add-opens=java.base/java.util.jar=ALL-UNNAMED"


@dataclass(frozen=True)
class ToreeRuntime(Runtime):
    """A Toree, launched by spark-submit."""

    toree: Toree

    interpreters: ClassVar[tuple[str, ...]] = ("Scala", "SQL")
    is_toree: ClassVar[bool] = True
    interrupt_signal: ClassVar[signal.Signals | None] = getattr(signal, f"SIG{toree_interrupt.SIGNAL}")

    @classmethod
    def find(
        cls, finder: InstallationFinder, installation: Installation, conf: SparkConf, options: LaunchOptions
    ) -> ToreeRuntime:
        return cls(finder.toree_for(installation.spark, conf.environ))

    @classmethod
    def setup_code(cls, files: KernelFiles) -> str:
        return toree_setup.cell(toree_interrupt.HANDLER, toree_report.reporter(files.report))

    @property
    def product(self) -> tuple[str, str]:
        return "Toree", self.toree.version

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.toree.warnings

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.toree.assembly,)

    def application(self, interpreter: str) -> str:
        return f"Apache Toree - {interpreter}"

    def java_options(self, installation: Installation) -> tuple[str, ...]:
        return (ADD_OPENS,) if installation.java.major >= 9 else ()

    def command(self, plan: Plan, files: KernelFiles, env: Mapping[str, str]) -> list[str]:
        submit, jar = self._submit(plan, files, env)
        toree = _arguments(jar, str(files.properties), files.connection_file, plan.options.spark_context)
        return [*plan.nice, *submit, *toree, *plan.options.toree_arguments]

    def variables(self, env: Mapping[str, str], files: KernelFiles) -> dict[str, str]:
        return {"SPARK_ENV_LOADED": "1", "PYTHONHASHSEED": "0"}  # as spark-submit sets them

    def _submit(self, plan: Plan, files: KernelFiles, env: Mapping[str, str]) -> tuple[list[str], str]:
        """Return what runs an application, and the jar that Toree is in."""
        fast, installation = plan.options.fast_starts, plan.installation
        start = fast and fast.start(installation, self.toree.assembly, plan.conf, env)
        if not start:
            return [os.path.join(installation.spark.home, "bin", "spark-submit")], self.toree.assembly
        slim, memory = str(start.jars.slim), plan.conf.memory_mib("spark.driver.memory", 1024)

        def train(option: str) -> Command:
            java = start.argv("1g", [*self.java_options(installation), *split(UTF_8), option], {})
            return lambda properties, connection: [*java, *_arguments(slim, properties, connection, "lazy")]

        own = [driver_options(plan), *(env.get(name, "") for name in JAVA_VARIABLES)]
        options = [*start.archive_options(own, train), *tuning(own, memory)]
        options += split(written_options(plan, str(files.java_options)))
        return start.argv(f"{memory}m", options, env), slim

    def fixed(self, plan: Plan, env: Mapping[str, str], cwd: str | None) -> dict[str, str]:
        return toree_fixed.fixed(plan, env, cwd)

    @classmethod
    def receiver(cls, files: KernelFiles) -> str:
        return toree_hand_out.receiver(files)

    @classmethod
    def warm_cells(cls) -> tuple[str, ...]:
        return toree_hand_out.WARM_CELLS


def _arguments(jar: str, properties: str, connection: str, spark_context: str) -> list[str]:
    """Return what follows spark-submit: the files of the kernel, and how it begins."""
    return [
        *("--properties-file", properties),
        *("--class", "org.apache.toree.Main"),
        jar,
        *("--profile", connection),
        # For SQL notebooks too: see web/toree_protocol/sql_cells.py.
        *("--default-interpreter", "Scala"),
        *("--spark-context-initialization-mode", spark_context),
        *("--alternate-sigint", toree_interrupt.SIGNAL),
    ]
