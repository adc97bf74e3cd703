"""The fast way to launch a Toree: by java itself, with Toree's assembly as two jars; spark-submit is the slow one."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import InstallationError
from ...spark.conf import SparkConf
from ...spark.installation import Installation
from ...spark.submit_command import SubmitCommand, first_segments, submit_command
from .class_archive import ClassArchives, Train
from .toree_jars import ToreeJarCache, ToreeJars

#: Measured with Spark 3.5 and Java 17 on two cores: code that allocates takes two thirds of the time that it takes with
#: G1. The optimizing compiler takes half of a start's time, so methods are left to it later; loops as soon as ever.
#: By itself this collector would begin with a heap of a 64th of the machine's memory, and have it grow for every 1 % of
#: time that it takes.
_COLLECTOR = ("-XX:+UseParallelGC", "-XX:GCTimeRatio=19", "-Xms256m")
_COMPILER = (
    "-XX:Tier3DelayOn=0",
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=20000",
    "-XX:Tier4CompileThreshold=100000",
)
#: MiB of a heap above which Java's default collector stays, as the pauses of this one grow with the heap.
_LARGE_HEAP = 4096
#: Of an administrator's own options: those that choose a collector, and those that are read from elsewhere.
_COLLECTORS, _ELSEWHERE = re.compile(r"-XX:[+-]?(Use\w*GC\b|G1)"), re.compile(r"-XX:(Flags|VMOptionsFile)=|(^|\s)@")


@dataclass(frozen=True)
class FastStart:
    """What one fast launch is made of."""

    command: SubmitCommand
    jars: ToreeJars
    archives: ClassArchives

    def argv(self, memory: str, options: list[str], env: Mapping[str, str]) -> list[str]:
        """Return the command, to which spark-submit's arguments are added. With an empty `env`: nobody's."""
        return self.command.argv([str(self.jars.rest)], memory, options, env)

    def archive_options(self, own: Sequence[str], train: Train) -> list[str]:
        """Return the JVM's options for its archive of classes; see ClassArchives.options."""
        return self.archives.options(self.command, self.jars.slim.parent, own, train)


def tuning(own: Sequence[str], memory: int) -> list[str]:
    """Return options that have a driver start sooner and compute no slower. Those of its `own` that follow win.

    `memory` is its heap in MiB.
    """
    if any(map(_ELSEWHERE.search, own)):
        return []
    is_chosen = memory > _LARGE_HEAP or any(map(_COLLECTORS.search, own))
    return [*_COMPILER] if is_chosen else [*_COLLECTOR, *_COMPILER]


class FastStarts:
    """Knows whether a launch can be a fast one. Each reason why not is logged once."""

    def __init__(self, directory: Path, log: logging.Logger) -> None:
        self._cache, self._archives, self._log = ToreeJarCache(directory), ClassArchives(directory, log), log
        self._directory = directory
        self._said: set[str] = set()

    def start(
        self, installation: Installation, assembly: str, conf: SparkConf, env: Mapping[str, str]
    ) -> FastStart | None:
        """Return what the fast launch is made of; None when it has to be the slow one.

        `env` is what the process sees. Blocking: 2 s at the first call, else 1 ms.
        """
        try:
            command = submit_command(installation)
            jars = self._cache.of(assembly)
            reason = command.obstacle(env, conf, _names(jars.rest))
        except InstallationError as error:
            reason = str(error)
        except OSError as error:
            reason = f"nothing can be kept in {self._directory}: {error}"
        if not reason:
            return FastStart(command, jars, self._archives)
        self._tell(reason)
        return None

    def close(self) -> None:
        """Called at the gateway's end: nothing is made any more. Blocking: 1 s at most."""
        self._archives.close()

    def _tell(self, reason: str) -> None:
        if reason not in self._said and len(self._said) < 100:
            self._said.add(reason)
            self._log.info("Toree kernels start by spark-submit, 1 s later than they could: %s", reason)


@functools.lru_cache(maxsize=4)
def _names(jar: Path) -> frozenset[str]:
    return frozenset(first_segments(jar))
