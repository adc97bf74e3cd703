"""What the parts of a kernel use of the kernel, and what a kernel uses of its manager.

Both are built of these parts, so that an import of their classes would run back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning import LocalProvisioner

from ..state.failpoints import Failpoints
from ..state.record import Admission
from .client import ClientKernel, Conversation
from .kind import KernelKind
from .launch.plan import Plan
from .port_range import PortRange
from .supplies import Supplies
from .timing import Timing


class KernelLives(Protocol):
    """Who is told of kernels' deaths; see Lives."""

    def died(self, kernel: Kernel, message: str, restarted: int | None = None) -> None: ...


class KernelHost(Protocol):
    """A manager, as its kernels see it."""

    supplies: Supplies
    failpoints: Failpoints
    timing: Timing
    lives: KernelLives
    kernel_ports: PortRange | None
    max_kernel_log_size: int
    traceback_replacement_message: str

    def watch_again(self, kernel_id: str) -> None:
        """Follow a kernel whose ports have changed."""

    def follow_next_process(self, kernel_id: str) -> None:
        """Hear nothing any more of what a kernel's last process said."""


class KernelConsole(Protocol):
    """What a kernel prints; see Console."""

    async def ending(self) -> str: ...


class KernelSetup(Protocol):
    """The cell that prepares a kernel's process; see SetupCell."""

    has_ended: bool

    def reset(self, has_ended: bool = False) -> None: ...
    def keeps_interrupt(self) -> bool: ...
    def send(self, conversation: Conversation) -> asyncio.Future[list[Any]] | None: ...
    async def end(self, reply: asyncio.Future[list[Any]] | None) -> None: ...


class Kernel(ClientKernel, Protocol):
    """A kernel, as its parts and its provisioner see it; see GatewayKernel and jupyter_client's KernelManager."""

    kernel_name: str
    connection_file: str
    since: datetime
    cores_since: datetime
    requested: dict[str, str] | None
    owner: str
    admission: Admission | None
    plan: Plan | None
    sessions: list[dict[str, Any]]
    running_cell: str
    header_session: str
    launches: int
    waits: bool
    adopted_group: int | None
    lifecycle: asyncio.Lock
    provisioner: LocalProvisioner
    execution_state: str
    reason: str
    transport: str
    ip: str
    shutting_down: bool
    cache_ports: bool

    @property
    def user(self) -> str: ...
    @property
    def is_dead(self) -> bool: ...
    @property
    def parent(self) -> KernelHost: ...
    @property
    def console(self) -> KernelConsole: ...
    @property
    def setup_cell(self) -> KernelSetup: ...
    @property
    def kind(self) -> KernelKind: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def group(self) -> int | None: ...
    @property
    def info(self) -> dict[str, Any] | None: ...
    @property
    def has_kernel(self) -> bool: ...
    @property
    def has_answered(self) -> bool: ...
    @property
    def launch_args(self) -> dict[str, Any]: ...
    @property
    def kernel_spec(self) -> KernelSpec | None: ...
    @property
    def ports(self) -> list[int]: ...

    def remember_info(self, info: dict[str, Any]) -> None: ...
    def forget_info(self) -> None: ...
    def observe(self, handler: Callable[[Any], None], names: str) -> None: ...
    def unobserve(self, handler: Callable[[Any], None], names: str) -> None: ...
    def stop_restarter(self) -> None: ...
    def cleanup_connection_file(self) -> None: ...
    def cleanup_resources(self, restart: bool = False) -> Awaitable[None]: ...
    def get_connection_info(self) -> Any: ...
    def keep_connection_file(self) -> None: ...
    def tell_of_death(self) -> None: ...
    async def launch(self, **kwargs: Any) -> None: ...
    async def launch_process(self, **kwargs: Any) -> None: ...
    async def shutdown_kernel(self, now: bool = False) -> None: ...
    async def kill_process(self) -> None: ...
    async def replace_process(self, now: bool, **kwargs: Any) -> None: ...
    async def mark_dead(self, reason: str) -> None: ...
