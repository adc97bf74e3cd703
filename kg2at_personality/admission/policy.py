"""The policy: what an administrator decides about admission, the same for every kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..spark.cluster import ExecutorRequest, one_executor

MARGIN = 3.0  # s; an answer leaves this much before the client gives up, but no more than a quarter of its patience


@dataclass(frozen=True)
class AdmissionPolicy:
    """Times are in seconds. The traits of KG2ATPersonality of the same names explain each, and have these defaults."""

    core_check: str = "wait"  # wait | reject | off
    core_wait_timeout: float = 15.0
    core_poll_interval: float = 1.0
    core_requirement: str = "max"  # max | min: one executor
    max_queue: int = 100  # waiters; 0: nobody waits
    queue_order: str = "fifo"  # fifo | fair: one of each user in turn
    max_cores_per_user: int = 0  # 0: no bound
    master_unreachable: str = "wait"  # wait | admit

    def wait(self, patience: float | None) -> float:
        """Return the seconds that a kernel may wait, so that an answer beats the client's own time-out."""
        if patience is None or not math.isfinite(patience):
            return self.core_wait_timeout
        return max(0.0, min(self.core_wait_timeout, patience - min(MARGIN, patience / 4)))

    def user_bound(self, own: int | None) -> int:
        """Return the most cores that a user may have, 0 for no bound; `own` as AdmissionRequest.max_cores."""
        return self.max_cores_per_user if own is None else own

    def reserved(self, executors: ExecutorRequest) -> ExecutorRequest:
        """Return what a kernel's lease reserves of these executors: all of them or, with "min", one.

        With "min" the application takes more than its lease reserves, so that applications which register late may find
        less than they were admitted with.
        """
        return one_executor(executors) if self.core_requirement == "min" else executors
