"""What an administrator decides about admission, and what a kernel asks of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..spark.cluster import AppIdentity, ExecutorRequest, needed

MARGIN = 3.0  # s; an answer leaves this much before the client gives up, but no more than a quarter of its patience


@dataclass(frozen=True)
class AdmissionPolicy:
    """Times are in seconds. The traits of KG2ATPersonality of the same names explain each."""

    core_check: str = "wait"  # wait | reject | off
    core_wait_timeout: float = 30.0
    core_poll_interval: float = 1.0
    core_requirement: str = "max"  # max | min: one executor
    max_queue: int = 100  # waiters; 0: nobody waits
    max_cores_per_user: int = 0  # 0: no bound
    master_unreachable: str = "wait"  # wait | admit

    def wait(self, patience: float | None) -> float:
        """Seconds that a kernel may wait, so that an answer beats the client's own time-out."""
        if patience is None or not math.isfinite(patience):
            return self.core_wait_timeout
        return max(0.0, min(self.core_wait_timeout, patience - min(MARGIN, patience / 4)))

    def promise(self, executors: ExecutorRequest) -> ExecutorRequest:
        """What is promised for these executors.

        With "min" it is one of them: what the application takes beyond is nobody's promise, so that with it
        applications that register late may find less than they were promised.
        """
        if self.core_requirement != "min":
            return executors
        size = executors.size
        return ExecutorRequest(size, executors.executor_cores, executors.executor_memory_mib)


@dataclass(frozen=True)
class AdmissionRequest:
    """One kernel's. `user` is "" when unknown: all those are taken for one user.

    `executors` None: it takes no cores of a standalone master. `patience` is in seconds from now until the client
    itself gives up. `application` tells which applications at the master are the kernel's; None: those whose names
    end with its id, for a kernel that was launched when nobody wrote down more.
    """

    kernel_id: str
    kernel_name: str
    user: str
    executors: ExecutorRequest | None
    patience: float | None = None
    application: AppIdentity | None = None


def cores_of(executors: ExecutorRequest) -> int:
    """The cores that an application is sure to take when it can: what counts for a user's share."""
    return needed(executors)
