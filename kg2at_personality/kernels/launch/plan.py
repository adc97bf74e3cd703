"""One launch, resolved; and the interface of what differs between the kinds of kernels: a Toree, a Python."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...admission.request import executors_of
from ...spark.cluster import ExecutorRequest
from ...spark.conf import SparkConf
from ...spark.installation import Installation
from ...spark.installation_finder import InstallationFinder
from ..files import KernelFiles
from .fast_start import FastStarts


class HandOutFailed(Exception):
    """A process that waited can't be given to anybody any more. It has to be ended: it may hold what was its user's."""


@dataclass(frozen=True)
class LaunchOptions:
    """How every kernel of this gateway is started.

    `spark_context` is lazy, eager or none; `toree_arguments` go to Toree as they are; `python` is the interpreter of
    Python kernels ("" finds one); `niceness` is added to the process's (0 leaves it); `job_name` is z/OS'
    `_BPX_JOBNAME` ("" leaves it). `fast_starts` is None where every Toree is launched by spark-submit.
    """

    spark_context: str = "lazy"
    toree_arguments: tuple[str, ...] = ()
    python: str = ""
    niceness: int = 0
    job_name: str = ""
    fast_starts: FastStarts | None = None


class Runtime(ABC):
    """What runs a notebook's code, as it was found. Each kind of kernel derives a class from it, in one module.

    What is asked of the class holds for a kernel whose launch nobody remembers, too.
    """

    #: What the kernelspecs of this kind have as `metadata.kg2at.interpreter`: the language of the notebook.
    interpreters: ClassVar[tuple[str, ...]]
    #: Whether its messages need web/toree_protocol.
    is_toree: ClassVar[bool] = False
    #: MiB that a process of this kind takes while it waits for a user, as far as nobody has measured it.
    waiting_mib: ClassVar[int] = 500
    #: What an interrupt sends to the process alone; None: SIGINT to its process group, as jupyter_client does.
    interrupt_signal: ClassVar[signal.Signals | None] = None

    @classmethod
    @abstractmethod
    def find(
        cls, finder: InstallationFinder, installation: Installation, conf: SparkConf, options: LaunchOptions
    ) -> Runtime:
        """Return what runs beside this Spark. Blocking. Raises InstallationError where there is none for it."""

    @classmethod
    def setup_code(cls, files: KernelFiles) -> str:
        """Return the cell that prepares a new process before anybody's code runs in it; "" when it needs none.

        It leaves nothing that a user sees, and it can run twice.
        """
        return ""

    @property
    @abstractmethod
    def product(self) -> tuple[str, str]:
        """Return its name and its version, which stand beside Spark's."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what may still go wrong, a sentence each."""
        return ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the files that are replaced when another version comes to the same place."""
        return ()

    @abstractmethod
    def application(self, interpreter: str) -> str:
        """Return the name of its application where no property gives one."""

    @abstractmethod
    def command(self, plan: Plan, files: KernelFiles, env: Mapping[str, str]) -> list[str]:
        """Return the argv of its process, which sees `env`. Holds no Spark property: those are in `files.properties`.

        Blocking.
        """

    def java_options(self, installation: Installation) -> tuple[str, ...]:
        """Return what its driver's JVM needs beside what every driver does."""
        return ()

    def variables(self, env: Mapping[str, str], files: KernelFiles) -> dict[str, str]:
        """Return what its process has in its environment beside `env`."""
        return {}

    # A process that waits for a user.

    @abstractmethod
    def fixed(self, plan: Plan, env: Mapping[str, str], cwd: str | None) -> dict[str, str]:
        """Return what only the start of a process sets, by the names that users know; a secret's value as its hash.

        A process that waits serves a launch for which all of it is the same. `env` is what the process sees.
        """

    @classmethod
    @abstractmethod
    def receiver(cls, files: KernelFiles) -> str:
        """Return a cell after which a process that waits takes what is its user's when it is told; see hand_out.py."""

    @classmethod
    def warm_cells(cls) -> tuple[str, ...]:
        """Return cells for a process that waits, which make its user's first cells faster and leave no trace."""
        return ()


@dataclass(frozen=True)
class Plan:
    """One launch, resolved: which kernel, by which Spark, with which configuration, for whom ("": not known)."""

    conf: SparkConf
    installation: Installation
    runtime: Runtime
    interpreter: str
    options: LaunchOptions
    conf_dir: str = ""
    #: Seconds that spark-env.sh may run.
    script_timeout: float = 10.0
    owner: str = ""

    @property
    def executors(self) -> ExecutorRequest | None:
        """Return what its application will ask the cluster for; None when it uses no cluster."""
        return executors_of(self.conf) if self.options.spark_context != "none" else None

    @property
    def nice(self) -> list[str]:
        """Return what its argv begins with."""
        niceness = self.options.niceness
        return ["nice", "-n", str(niceness)] if niceness else []
