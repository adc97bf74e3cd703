"""Launches one of kg2at's kernels and looks after its process, files and ports."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from subprocess import Popen
from typing import Any

from jupyter_client.provisioning import LocalProvisioner

from ..errors import LaunchFailed
from ..spark.driver_report import DriverReport, parsed
from ..spark.redaction import Redactor
from .files import KernelFiles
from .interfaces import Kernel
from .kind import KernelKind
from .launch.java_options import SUBMIT_OPTIONS, java_options, submit_options
from .launch.plan import Plan, Runtime
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
    #: What the driver of the newest launch has reported so far.
    _report: DriverReport | None = None

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
        env = await asyncio.to_thread(environment, plan, kwargs["env"], self.kernel_id)
        written = await asyncio.to_thread(self._write_files, plan, submit_options(plan, env))
        env |= plan.runtime.variables(env, self.files) | written
        kwargs["cmd"] = await asyncio.to_thread(plan.runtime.command, plan, self.files, env)
        kwargs["env"] = env
        return kwargs

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

    def driver_report(self) -> DriverReport | None:
        """Return its driver's newest report; None before its first one, and when it can't be read."""
        try:
            content = self.files.report_content()
        except OSError:
            return None
        with suppress(ValueError):  # it is empty, or just being written
            self._report = parsed(content)
        return self._report

    def _write_files(self, plan: Plan, submit_options: str) -> dict[str, str]:
        """Write the files. Return the variables that name them. Blocking."""
        files = self.files
        values = properties(plan, self.kernel_id, str(files.java_options))
        # On z/OS, Spark reads its files in the encoding the administrator writes them in.
        files.write_properties(values, plan.conf.encoding if sys.platform == "zos" else "ascii")
        files.write_java_options(java_options(plan))
        files.write_submit_options(submit_options)
        files.empty_report()
        self._report = None
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
