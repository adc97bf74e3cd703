"""Launches a Toree by spark-submit and looks after its process, files and ports."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from typing import Any

from jupyter_client.provisioning import LocalProvisioner

from ..errors import LaunchFailed
from ..spark.driver_report import DriverReport
from ..spark.redaction import Redactor
from . import toree, toree_interrupt, toree_report, toree_setup
from .client import KernelClient
from .files import KernelFiles
from .interfaces import Kernel
from .kind import KernelKind
from .port_range import PortRange
from .toree import Plan

#: In the order in which records have a kernel's ports.
PORT_NAMES = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
#: Of the entry point by which jupyter_client finds it (setup.cfg).
NAME = "kg2at-toree-provisioner"


class ToreeProvisioner(KernelKind, LocalProvisioner):
    """One Toree process: a child of the gateway, in a process group of its own.

    `launch_kernel` may be called again after `cleanup(restart=True)`; each launch is by the kernel's newest plan.
    """

    is_toree = True
    parent: Kernel
    #: What the driver of the newest launch has reported so far.
    _report: DriverReport | None = None

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
        kwargs["cmd"] = toree.command(plan, self.parent.connection_file, str(self.files.properties))
        # Before the files: a start that is cancelled while spark-env.sh runs must not write them later.
        env = await asyncio.to_thread(toree.environment, plan, kwargs["env"], self.kernel_id)
        kwargs["env"] = env | await asyncio.to_thread(self._write_files, plan, toree.submit_options(plan, env))
        return kwargs

    def _take_plan(self) -> Plan:
        plan = self.parent.plan
        if plan is None:
            raise LaunchFailed(f"The kernelspec {self.parent.kernel_name} is not one of kg2at's Toree kernelspecs.")
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

    async def set_up(self, client: KernelClient) -> bool:
        """Give a new process its handler for interrupts, and what reports on it. Return False if it dies meanwhile."""
        return await toree_setup.install(client, toree_interrupt.HANDLER, toree_report.reporter(self.files.report))

    def driver_report(self) -> DriverReport | None:
        """Return its driver's newest report; None before its first one, and when it can't be read."""
        try:
            content = self.files.report_content()
        except OSError:
            return None
        with suppress(ValueError):  # it is empty, or just being written
            self._report = toree_report.parsed(content)
        return self._report

    def _write_files(self, plan: Plan, submit_options: str) -> dict[str, str]:
        """Write the files. Return the variables that name them. Blocking."""
        files = self.files
        values = toree.properties(plan, self.kernel_id, str(files.java_options))
        # On z/OS, Spark reads its files in the encoding the administrator writes them in.
        files.write_properties(values, plan.conf.encoding if sys.platform == "zos" else "ascii")
        files.write_java_options(toree.java_options(plan))
        files.write_submit_options(submit_options)
        files.empty_report()
        self._report = None
        return {toree.SUBMIT_OPTIONS: f"@{files.submit_options}"} if submit_options else {}

    async def send_signal(self, signum: int) -> None:
        """Signal the kernel: an interrupt by Toree's own signal to the JVM alone, all else to the process group.

        Toree handles its signal once it answers; before that it would end the process, so none is sent.
        """
        if signum != signal.SIGINT:
            await super().send_signal(signum)
        elif self.process is not None and self.parent.has_answered:
            self.process.send_signal(getattr(signal, f"SIG{toree_interrupt.SIGNAL}"))

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
