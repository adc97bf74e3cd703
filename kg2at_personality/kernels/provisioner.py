"""Launches one of kg2at's kernels and looks after its process, files and ports."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from subprocess import Popen
from typing import Any

from jupyter_client.provisioning import LocalProvisioner

from ..errors import LaunchFailed
from ..spark.driver_report import DriverReport, parsed
from ..spark.redaction import Redactor
from .client import KernelClient
from .files import KernelFiles
from .interfaces import Kernel
from .kind import KernelKind
from .launch.fixed import difference
from .launch.hand_out import HandOut
from .launch.java_options import SUBMIT_OPTIONS, java_options, submit_options
from .launch.plan import HandOutFailed, Plan, Runtime
from .launch.process_environment import environment
from .launch.properties import properties
from .launch.runtimes import runtime_of
from .port_range import PortRange

#: In the order in which records have a kernel's ports.
PORT_NAMES = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
#: Of the entry point by which jupyter_client finds it (setup.cfg).
NAME = "kg2at-spark-provisioner"


class SparkProvisioner(KernelKind, LocalProvisioner):
    """One process of a kernel that uses Spark: a child of the gateway, in a process group of its own.

    `launch_kernel` may be called again after `cleanup(restart=True)`; each launch is by the kernel's newest plan.
    """

    parent: Kernel
    #: The environment of the newest launch, and what it has set for good (Runtime.fixed).
    _environ: Mapping[str, str] = {}
    _fixed: Mapping[str, str] = {}
    #: The launch that was found to fit, with the environment that its process sees.
    _fitting: tuple[Plan, Mapping[str, str], dict[str, str]] | None = None
    _hand_out: HandOut | None = None
    #: What the driver of the newest launch has reported so far, and as it was written.
    _report: DriverReport | None = None
    _content = b""

    @property
    def runtime(self) -> type[Runtime] | None:
        """Return which kind of kernel it is; None before it is launched or taken over."""
        return runtime_of(self.interpreter)

    @property
    def is_toree(self) -> bool:
        """Return whether its messages need web/toree_protocol."""
        return self.runtime is not None and self.runtime.is_toree

    @property
    def files(self) -> KernelFiles:
        """Return the files of this kernel, beside its connection file."""
        return KernelFiles(self.parent.connection_file)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Called by KernelManager before each launch, restarts too: writes the files, builds command and environment.

        Raises KG2ATError or OSError; then `cleanup` takes all of it back.
        """
        plan = self._take_plan()
        self._take_ports()
        kwargs = await super().pre_launch(**kwargs)
        # Before the files: a start that is cancelled while spark-env.sh runs must not write them later.
        env = await self._environment(plan, kwargs["env"])
        self._fixed = plan.runtime.fixed(plan, env, kwargs.get("cwd"))
        written = await asyncio.to_thread(self._write_files, plan, submit_options(plan, env))
        self.files.empty_report()
        self._environ = env | written
        kwargs["cmd"] = await asyncio.to_thread(plan.runtime.command, plan, self.files, self._environ)
        kwargs["env"] = dict(self._environ)  # Kernel Gateway adds to it
        return kwargs

    async def _environment(self, plan: Plan, env: Mapping[str, str]) -> dict[str, str]:
        """Return what the process of a launch sees, but for variables that name files."""
        seen = await asyncio.to_thread(environment, plan, env, self.kernel_id)
        return seen | plan.runtime.variables(seen, self.files)

    def _take_plan(self) -> Plan:
        plan = self.parent.plan
        if plan is None:
            raise LaunchFailed(f"The kernelspec {self.parent.kernel_name} is not one of kg2at's.")
        self.plan, self.interpreter = plan, plan.interpreter
        return plan

    def _take_ports(self) -> None:
        if self._lender is not None and self.lent_ports is None:
            self._borrow(self._lender.take(self.parent.ip))

    @property
    def _lender(self) -> PortRange | None:
        manager = self.parent.parent
        return manager.kernel_ports

    def _borrow(self, ports: list[int]) -> None:
        """Use these five, which `kernel_ports` has lent."""
        self.lent_ports = ports
        # Set ports are kept by write_connection_file; jupyter_client's own cache must not choose others.
        self.ports_cached = False
        self.parent.cache_ports = False
        for name, port in zip(PORT_NAMES, ports, strict=True):
            setattr(self.parent, name, port)

    def restore(self, interpreter: str, ports: list[int] | None) -> bool:
        """Take over what a record says. Return whether its ports are lent."""
        self.interpreter = interpreter
        if ports:
            self._borrow(ports)
        return bool(ports)

    def setup_code(self) -> str:
        """Return the cell that prepares a new process before anybody's code runs in it; "" when it needs none."""
        return "" if self.runtime is None else self.runtime.setup_code(self.files)

    # A process that waits for a user.

    async def misfit(self, plan: Plan, env: Mapping[str, str], cwd: str | None) -> str:
        """Return why the process can't serve this launch; see KernelKind. Raises KG2ATError and OSError."""
        if self.plan is None or type(plan.runtime) is not self.runtime:
            return "it is a kernel of another kind"
        seen = await self._environment(plan, env)
        why = difference(self._fixed, plan.runtime.fixed(plan, seen, cwd))
        self._fitting = None if why else (plan, env, seen)
        return why

    def _fits(self, plan: Plan, env: Mapping[str, str]) -> bool:
        """Return whether this is the launch that was found to fit."""
        return self._fitting is not None and self._fitting[0] is plan and self._fitting[1] == env

    async def warm_up(self, client: KernelClient) -> bool:
        """Have a process that waits do what makes its user's first cells faster. Return False if it dies meanwhile."""
        if self.runtime is None:
            return True
        self._hand_out = HandOut(self.runtime, client, self.files)
        return await self._hand_out.warm_up()

    async def hand_out(self, client: KernelClient, plan: Plan, env: Mapping[str, str], cwd: str | None) -> None:
        """Give a process that waits to its user; see KernelKind. Raises HandOutFailed, OSError and KG2ATError."""
        why = "" if self._fits(plan, env) else await self.misfit(plan, env, cwd)
        if why or self._hand_out is None or self._fitting is None:
            raise HandOutFailed(why or "it does not wait for a user")
        seen, self._fitting = self._fitting[2], None
        self.plan, self.interpreter = plan, plan.interpreter
        await self._hand_out.ready()
        written = await asyncio.to_thread(self._write_files, plan, submit_options(plan, seen))
        await self._hand_out.give(self._environ, {**seen, **written}, cwd)
        self._hand_out = None

    def driver_report(self) -> DriverReport | None:
        """Return its driver's newest report; None before its first one, and when it can't be read."""
        try:
            content = self.files.report_content()
        except OSError:
            return None
        if content != self._content:  # each status reads it, and it seldom changes
            with suppress(ValueError):  # it is empty, or just being written
                self._report, self._content = parsed(content), content
        return self._report

    def _write_files(self, plan: Plan, submit_options: str) -> dict[str, str]:
        """Write the files. Return the variables that name them. Blocking."""
        files = self.files
        values = properties(plan, self.kernel_id, str(files.java_options))
        # On z/OS, Spark reads its files in the encoding the administrator writes them in.
        files.write_properties(values, plan.conf.encoding if sys.platform == "zos" else "ascii")
        files.write_java_options(java_options(plan))
        files.write_submit_options(submit_options)
        self._report, self._content = None, b""
        return {SUBMIT_OPTIONS: f"@{files.submit_options}"} if submit_options else {}

    async def send_signal(self, signum: int) -> None:
        """Signal the kernel: an interrupt in the way of its kind, all else to the process group.

        It handles interrupts once it answers; before that one would end the process, so none is sent. One that comes
        before it has run its set-up cell is given then.
        """
        if signum != signal.SIGINT:
            await super().send_signal(signum)
        elif self.process is not None and self.parent.has_answered and not self.parent.setup_cell.keeps_interrupt():
            await self._interrupt(self.process)

    async def _interrupt(self, process: Popen[bytes]) -> None:
        own = self.runtime.interrupt_signal if self.runtime is not None else None
        if own is None:
            await super().send_signal(signal.SIGINT)
        else:
            process.send_signal(own)

    def redactor(self) -> Redactor | None:
        """Return what knows the secrets of its configuration; None without its plan."""
        return self.plan.conf.redactor() if self.plan else None

    async def cleanup(self, restart: bool = False) -> None:
        """Called by KernelManager when the process is gone. Without `restart`, ports go too."""
        await super().cleanup(restart=restart)
        if not restart:
            self.give_back_ports()

    def give_back_ports(self) -> None:
        """Return what `kernel_ports` lent; the next launch takes others that are free then."""
        if self.lent_ports is not None and self._lender is not None:
            self._lender.give_back(self.lent_ports)
        self.lent_ports = None
