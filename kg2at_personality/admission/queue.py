"""Placeholder while the queue is being written: admits everybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AdmissionPolicy:
    core_check: str = "wait"
    core_wait_timeout: float = 15.0
    core_poll_interval: float = 1.0
    core_requirement: str = "max"
    max_queue: int = 100
    max_cores_per_user: int = 0
    master_unreachable: str = "wait"


@dataclass(frozen=True)
class AdmissionRequest:
    kernel_id: str
    kernel_name: str
    user: str
    executors: Any
    patience: float | None = None


class AdmissionQueue:
    def __init__(self, state: Callable[[], Any], policy: AdmissionPolicy, **kwargs: Any) -> None: ...

    async def acquire(self, request: AdmissionRequest) -> None: ...

    def holds(self, kernel_id: str) -> bool:
        return False

    def release(self, kernel_id: str) -> None: ...

    def renew(self, kernel_id: str) -> None: ...

    def status(self) -> dict[str, Any]:
        return {"cluster": {}, "queue": [], "leases": {}}

    async def close(self) -> None: ...
