"""Executors that do nothing end by themselves: Spark's dynamic allocation, as far as nobody has set it up otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .conf import SparkConf
from .master_url import is_standalone

SOURCE = "idle_cores_timeout"
#: Executors at most. No cluster has as many, and Spark adds to them in 32 bits (ExecutorAllocationManager).
MOST = 1_000_000
_PREFIX = "spark.dynamicAllocation."


@dataclass(frozen=True)
class IdleCores:
    """After how many seconds without a task an executor ends, and one that holds cached data. 0: never."""

    timeout: int = 0
    cached_timeout: int = 0

    def problem(self, version: str) -> str:
        """Return why this Spark can't give cores back, in a sentence; "" when it can, or does not have to."""
        if not self.timeout or _has_shuffle_tracking(version):
            return ""
        spark = f"Spark {version}" if version else "a Spark whose version can't be told"
        return f"idle_cores_timeout does nothing with {spark}: notebooks give their cores back from Spark 3.0 on."

    def applied(self, conf: SparkConf, version: str) -> SparkConf:
        """Return the configuration by which an application starts with all its executors and ends those it leaves idle.

        The same one without a `timeout`, where spark.dynamicAllocation.enabled is set, away from a standalone master
        and before Spark 3.0. Other properties that are set stay as they are.
        """
        is_ours = self.timeout and _has_shuffle_tracking(version) and is_standalone(conf.master)
        if not is_ours or f"{_PREFIX}enabled" in conf:
            return conf
        return conf.overlay(SOURCE, {key: value for key, value in self._properties(conf).items() if key not in conf})

    def _properties(self, conf: SparkConf) -> dict[str, str]:
        executors = max(_executors(conf), conf.integer(f"{_PREFIX}minExecutors", 0))
        seconds = f"{self.timeout}s"
        found = {
            "enabled": "true",
            "minExecutors": "0",
            "initialExecutors": str(min(executors, conf.integer(f"{_PREFIX}maxExecutors", executors))),
            "maxExecutors": str(executors),
            "executorIdleTimeout": seconds,
        }
        if self.cached_timeout:
            found["cachedExecutorIdleTimeout"] = f"{self.cached_timeout}s"
        if not conf.boolean("spark.shuffle.service.enabled", False):
            # Else shuffle data would die with its executor (ExecutorAllocationManager.validateSettings). It does after
            # that time all the same, and Spark makes it anew: a notebook keeps what made it for as long as it lives.
            found |= {"shuffleTracking.enabled": "true", "shuffleTracking.timeout": seconds}
        return {f"{_PREFIX}{name}": value for name, value in found.items()}


def _executors(conf: SparkConf) -> int:
    """Return how many executors the application may have; each may be as small as one core if nobody sizes them."""
    cores = conf.integer("spark.cores.max", 1) // conf.integer("spark.executor.cores", 1)
    return min(max(cores, 1), MOST)


def _has_shuffle_tracking(version: str) -> bool:
    """Return whether a Spark of this version needs no external shuffle service for it (SPARK-27963)."""
    major = re.match(r"\d+", version)
    return major is not None and int(major[0]) >= 3
