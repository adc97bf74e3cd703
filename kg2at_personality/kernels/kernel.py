"""One kernel: what jupyter_client and jupyter_server want overridden or read, and the parts that do the work."""

from __future__ import annotations

import asyncio
import errno
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.ioloop import AsyncIOLoopKernelRestarter
from jupyter_client.provisioning import LocalProvisioner
from traitlets import Instance, Unicode, default

from ..errors import NoRoom
from ..spark.driver_report import DriverReport
from ..state.record import Admission
from .client import KernelClient
from .console import Console
from .core_wait import CoreWait
from .files import KernelFiles
from .interfaces import KernelHost
from .jupyter_kernel import JupyterKernel
from .kind import UNKNOWN, KernelKind
from .launch.plan import Plan
from .record_keeper import RecordKeeper
from .resource_limits import no_room
from .restart import Restart, Restarter
from .setup_cell import SetupCell
from .startup import Startup
from .supplies import KERNEL_USERNAME
from .termination import Termination

#: Seconds between two looks at a kernel that was asked to end; jupyter_client's 0.1 is half of a Toree's end.
END_POLL = 0.02
#: How jupyter_client's provisioner tells of a signal that was refused, or that found no process.
REFUSALS = (OSError, ValueError)


class GatewayKernel(JupyterKernel):
    """Kernel Gateway's manager of one kernel.

    `requested` is the environment that its client sent, `admission` what it was admitted with, `plan` that of its next
    launch (None for what isn't kg2at's), `sessions` its sessions' rows, `launches` the number of its processes so far,
    `cores_since` when it got its cores, `owner` whose it is ("": the administrators'), `adopted_group` the process
    group of another gateway's process, `running_cell` the execute_request that it runs, `header_session` what its
    messages name ("": not known yet). It `waits` while nobody's.
    """

    execution_state = Unicode("starting", help="starting, idle, busy or dead, as clients see it.")
    reason = Unicode("", help="Why the kernel is dead, or how its last process died.")
    core_wait = Instance(CoreWait, allow_none=True, help="What its cell waits for; None: it does not wait.")
    core_note = Unicode("", help="What its notebook is told once, under its next cell; empty: nothing.")
    parent: KernelHost
    provisioner: LocalProvisioner

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.since = self.cores_since = datetime.now(timezone.utc)
        self.requested: dict[str, str] | None = None
        self.admission: Admission | None = None
        self.plan: Plan | None = None
        self.sessions: list[dict[str, Any]] = []
        self.owner, self.running_cell, self.header_session, self.launches = "", "", "", 0
        self.waits, self.warm_reason = False, "an earlier gateway started it"
        self.adopted_group: int | None = None
        #: Held by whatever starts or ends its process.
        self.lifecycle = asyncio.Lock()
        self._cell_launch = 0  # which of its launches has run a cell of a notebook to its end
        self.own_client = KernelClient(self)
        self.console = Console(self)
        self.recorder = RecordKeeper(self)
        self.setup_cell = SetupCell(self, self.own_client)
        self.startup = Startup(self, self.own_client, self.console, self.recorder)
        self.restart = Restart(self, self.startup, self.recorder)
        self.termination = Termination(self, self.startup, self.restart)

    @default("restarter_class")
    def _restarter_class_default(self) -> type[AsyncIOLoopKernelRestarter]:
        return Restarter

    # What it is.

    @property
    def kind(self) -> KernelKind:
        """Return what differs between kinds of kernels."""
        return self.provisioner if isinstance(self.provisioner, KernelKind) else UNKNOWN

    @property
    def is_toree(self) -> bool:
        """Return whether its messages need web/toree_protocol."""
        return self.kind.is_toree

    @property
    def user(self) -> str:
        """Return whose kernel it is: its owner, else whom the client told; "" when it did not."""
        return str(self.launch_args.get("env", {}).get(KERNEL_USERNAME, ""))

    @property
    def pid(self) -> int | None:
        """Return its process, None when it has none."""
        return self.provisioner.pid if self.has_kernel else None

    @property
    def group(self) -> int | None:
        """Return its process group, also that of the process that died just now; None when it has none."""
        return getattr(self.provisioner, "pgid", None) or self.adopted_group

    # Its state.

    @property
    def has_answered(self) -> bool:
        """Return whether the process that runs now has answered a request."""
        return self.startup.has_answered

    async def answered(self) -> None:
        """Wait until the kernel has answered. Raises KernelDied when it dies first, or is shut down."""
        await self.startup.answered()

    @property
    def is_dead(self) -> bool:
        """Return whether the kernel died and nobody has restarted it."""
        return bool(self.execution_state == "dead")

    async def mark_dead(self, reason: str) -> None:
        """Say that it is dead; see Termination."""
        await self.termination.mark_dead(reason)

    @property
    def has_run_cell(self) -> bool:
        """Return whether the process that runs now has run a cell of a notebook to its end."""
        return self._cell_launch == self.launches

    def note_cell_run(self) -> None:
        """Called when it has."""
        self._cell_launch = self.launches

    def idle_since(self, report: DriverReport) -> datetime | None:
        """Return when it was last used, by a cell or a job; None while one or a stream runs, or it has not answered."""
        if not self.has_answered or self.execution_state != "idle" or report.is_working:
            return None
        return max(self.last_activity, report.last_end)

    # Its files, output and sockets.

    def write_connection_file(self, **kwargs: Any) -> None:
        """Called before each launch: write it anew, as the notebook may have overwritten or removed it."""
        if self.has_connection_file:
            Path(self.connection_file).unlink(missing_ok=True)
        super().write_connection_file(**kwargs)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart=restart)
        if not restart:
            KernelFiles(self.connection_file).remove()

    cleanup_resources: Callable[..., Any] = _async_cleanup_resources

    def _create_connected_socket(self, channel: str, identity: bytes | None = None) -> Any:
        """Called by jupyter_client for each socket that is connected to the kernel. Raises NoRoom."""
        try:
            return super()._create_connected_socket(channel, identity)
        except zmq.ZMQError as error:
            if error.errno != errno.EMFILE:
                raise
            raise no_room("sockets") from error

    # Its starts.

    async def _async_start_kernel(self, **kwargs: Any) -> None:
        self.startup.begin()
        await self.launch(**kwargs)

    start_kernel: Callable[..., Any] = _async_start_kernel

    async def launch(self, **kwargs: Any) -> None:
        """Launch a process; see Startup."""
        with self.pending():
            await self.startup.launch(**kwargs)

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kwargs: Any) -> None:
        if not isinstance(self.provisioner, LocalProvisioner):
            await super()._async_launch_kernel(kernel_cmd, **kwargs)
            return
        with self.console.opened(kwargs["env"]) as sink:
            await super()._async_launch_kernel(kernel_cmd, stdout=sink, stderr=subprocess.STDOUT, **kwargs)

    async def _async_restart_kernel(self, now: bool = False, newports: bool = False, **kwargs: Any) -> None:
        await self.restart.run(now, **kwargs)

    restart_kernel: Callable[..., Any] = _async_restart_kernel

    # Its end, step by step as jupyter_client has it; see termination.py.

    async def _async_shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:
        self.startup.stop_watching()
        self.shutting_down = True
        clusters = self.parent.supplies.clusters
        if not restart:
            self.startup.fail_if_waiting()
        else:
            # From now on, so that nobody gets its cores while the old process ends.
            clusters.renew(self.kernel_id)
        await self.shut_down_process(now, restart)
        if restart:
            # And once more: what the old process did at the master until its end is not the new one's.
            clusters.renew(self.kernel_id)

    shutdown_kernel: Callable[..., Any] = _async_shutdown_kernel

    async def _async_request_shutdown(self, restart: bool = False) -> None:
        with suppress(NoRoom):  # a signal ends it as well, and gives back sockets
            # What a process that is only starting does not hear would end the next one, on the same ports.
            if self.has_answered or not restart:
                await super()._async_request_shutdown(restart=restart)
        self.parent.failpoints.reached("restart: asked" if restart else "stop: asked")

    async def _async_finish_shutdown(
        self, waittime: float | None = None, pollinterval: float = END_POLL, restart: bool = False
    ) -> None:
        await super()._async_finish_shutdown(waittime, pollinterval, restart)
        self.parent.failpoints.reached("restart: ended" if restart else "stop: ended")

    # While it is shut down, a signal that the system refuses (EPERM, EDC5139I) or that comes too late stops nothing.

    async def _async_interrupt_kernel(self) -> None:
        with suppress(*(REFUSALS if self.shutting_down else ())):
            await super()._async_interrupt_kernel()

    interrupt_kernel: Callable[..., Any] = _async_interrupt_kernel

    async def _async_send_kernel_sigterm(self, restart: bool = False) -> None:
        with suppress(*REFUSALS):
            await super()._async_send_kernel_sigterm(restart=restart)

    async def _async_kill_kernel(self, restart: bool = False) -> None:
        with suppress(*REFUSALS):
            await super()._async_kill_kernel(restart=restart)
