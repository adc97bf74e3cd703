"""What the queue knows of the cluster: the master's last answer, how old it is, and why there is none now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..errors import KG2ATError, MalformedAnswer, MasterUnreachable, StillUnreachable
from ..spark.cluster import Capacity, ClusterState, Worker
from .decisions import ClusterAnswer, Waiter
from .log import Log
from .messages import RETRY_AFTER, busy

#: What comes of asking the master.
ANSWERED, UNREACHABLE, MALFORMED = "answered", "unreachable", "malformed"


@dataclass(frozen=True)
class Picture:
    """The cluster in an answer that was asked for at `asked_at`, in seconds of the queue's clock."""

    state: ClusterState
    capacity: Capacity
    asked_at: float


class MasterView:
    """`state` asks the master and raises MasterUnreachable.

    `picture` is the last answer, however old, None before the first. `failure` is how the last attempt to ask failed,
    None if it succeeded; that attempt began at `asked_at`. `polls` counts the attempts by what came of them.
    """

    def __init__(self, state: Callable[[], Awaitable[ClusterState]], log: Log) -> None:
        self._state, self._log = state, log
        self.picture: Picture | None = None
        self.failure: MasterUnreachable | None = None
        self.asked_at: float | None = None
        self.polls = Counter[str]()

    async def ask(self, asked_at: float) -> ClusterState | MasterUnreachable:
        """Return the master's answer, or why there is none. A failure is logged when it is not the one before.

        `asked_at` is now, in seconds of the queue's clock.
        """
        answer = await self._answer()
        self.asked_at = asked_at
        return answer

    async def _answer(self) -> ClusterState | MasterUnreachable:
        try:
            answer = await self._state()
        except MasterUnreachable as error:
            failure = error
        except Exception as error:
            self._log.exception("Asking the Spark master failed in an unexpected way")
            url = self.picture.state.url if self.picture else "(unknown)"
            failure = MasterUnreachable(url, f"{type(error).__name__}; the log of the gateway has the rest")
        else:
            self.failure = None
            self.polls[ANSWERED] += 1
            return answer
        self.polls[MALFORMED if isinstance(failure, MalformedAnswer) else UNREACHABLE] += 1
        if self.failure is None or self.failure.problem != failure.problem:
            self._log.warning("%s", failure)
        self.failure = failure
        return failure

    def show(self, answer: ClusterAnswer, asked_at: float) -> None:
        """Remember an answer for the status, and for those whose wait ends before the next one."""
        self.picture = Picture(answer.state, answer.capacity, asked_at)

    def timed_out(self, waiter: Waiter, waited: float, outstanding: int, ahead: int) -> KG2ATError:
        """Return the error of a waiter whose time is over: the master did not answer, or said that there is no room."""
        if self.failure is not None:
            return StillUnreachable(self.failure, RETRY_AFTER)
        if self.picture is None or not waiter.examined:
            url = self.picture.state.url if self.picture else "(not asked before)"
            return StillUnreachable(MasterUnreachable(url, f"no answer within {waited:.1f} s"), RETRY_AFTER)
        return busy(waiter.executors, self.picture.state.status, self.picture.capacity, outstanding, ahead)

    def status(self, now: float) -> dict[str, Any]:
        """Return what is known of the master and its workers, for the status."""
        picture = self.picture
        cluster: dict[str, Any] = {
            "master": picture.state.url if picture else None,
            "status": picture.state.status if picture else "not asked yet",
            "cores_total": picture.capacity.cores_total if picture else None,
            "cores_free": picture.capacity.cores_free if picture else None,
            "memory_total_mib": picture.capacity.memory_total_mib if picture else None,
            "memory_free_mib": picture.capacity.memory_free_mib if picture else None,
            "workers": picture.capacity.workers if picture else None,
            "worker_list": [_worker(each) for each in picture.state.workers] if picture else [],
            "age_s": round(now - picture.asked_at, 3) if picture else None,
        }
        return cluster if self.failure is None else cluster | {"error": str(self.failure)}


def _worker(worker: Worker) -> dict[str, Any]:
    """Return a worker's row; memory is in MiB."""
    shown = ("host", "state", "cores", "cores_used", "memory_mib", "memory_used_mib")
    return {name: getattr(worker, name) for name in shown}
