"""One start of a kernel that is under way: what was asked for, and what has come of it so far."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from ..state.record import Admission
from .kernel import GatewayKernel
from .launch.plan import Plan
from .user import ADMINISTRATOR, GatewayUser


@dataclass(eq=False)
class Start:
    """What `user` asked for: `requested` is the environment that the client sent (None: none).

    `arguments` is what jupyter_client takes besides.
    `kernel_id` is another one once the start has a kernel that waited. `env`, `plan`, `admission`, `kernel` and
    `launch`, the task that must come to its end, are there as soon as they are known. `warm_reason` says why it gets no
    kernel that waited; "" as long as it may.
    """

    kernel_id: str
    kernel_name: str
    requested: dict[str, str] | None
    arguments: dict[str, Any]
    user: GatewayUser = ADMINISTRATOR
    warm_reason: str = ""
    env: dict[str, str] = field(default_factory=dict)
    plan: Plan | None = None
    admission: Admission | None = None
    kernel: GatewayKernel | None = None
    task: asyncio.Task[None] | None = None
    launch: asyncio.Future[bool] | None = None
    begun: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        """Return for how many seconds its user has waited."""
        return time.monotonic() - self.begun

    def equip(self, kernel: GatewayKernel) -> None:
        """Give the kernel what it needs before it is started, or handed out."""
        kernel.kernel_id, kernel.requested, kernel.owner = self.kernel_id, self.requested, self.user.name
        kernel.plan, kernel.admission = self.plan, self.admission
        kernel.warm_reason = self.warm_reason
        self.kernel = kernel
