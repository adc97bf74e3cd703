"""Launches a Toree by spark-submit and looks after its process, files and ports."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

from jupyter_client.provisioning import LocalProvisioner

from ..spark.redaction import Redactor
from . import toree, toree_interrupt
from .files import KernelFiles
from .toree import Plan

PORT_NAMES = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")


class ToreeProvisioner(LocalProvisioner):
    """One Toree process: a child of the gateway, in a process group of its own.

    `launch_kernel` may be called again after `cleanup(restart=True)`; each launch takes the newest plan.
    """

    parent: Any
    plan: Plan | None = None
    #: Scala or SQL: what its notebooks hold.
    interpreter = ""
    #: What `kernel_ports` lent, None for nothing.
    lent_ports: list[int] | None = None

    @property
    def files(self) -> KernelFiles:
        """The files of this kernel, beside its connection file."""
        return KernelFiles(self.parent.connection_file)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Called by KernelManager before each launch, restarts too: writes the files, builds command and environment.

        `plan` comes from the kernel's manager. Raises KG2ATError or OSError; then `cleanup` takes all of it back.
        """
        plan: Plan = kwargs.pop("plan")
        self.plan, self.interpreter = plan, plan.interpreter
        self._take_ports()
        kwargs = await super().pre_launch(**kwargs)
        kwargs["cmd"] = toree.command(plan, self.parent.connection_file, str(self.files.properties))
        # Before the files: a start that is cancelled while spark-env.sh runs must not write them later.
        env = await asyncio.to_thread(toree.environment, plan, kwargs["env"], self.kernel_id)
        kwargs["env"] = env | await asyncio.to_thread(self._write_files, plan, toree.submit_options(plan, env))
        return kwargs

    def _take_ports(self) -> None:
        ports = self.parent.parent.kernel_ports
        if ports is None or self.lent_ports is not None:
            return
        self.borrow(ports.take(self.parent.ip))

    def borrow(self, ports: list[int]) -> None:
        """Use these five, which `kernel_ports` has lent."""
        self.lent_ports = ports
        # Set ports are kept by write_connection_file; jupyter_client's own cache must not choose others.
        self.ports_cached = False
        self.parent.cache_ports = False
        for name, port in zip(PORT_NAMES, ports, strict=True):
            setattr(self.parent, name, port)

    def _write_files(self, plan: Plan, submit_options: str) -> dict[str, str]:
        """Write the files, and tell the variables that name them. Blocking."""
        files = self.files
        values = toree.properties(plan, self.kernel_id, str(files.java_options))
        # On z/OS, Spark reads its files in the encoding the administrator writes them in.
        files.write_properties(values, plan.conf.encoding if sys.platform == "zos" else "ascii")
        files.write_java_options(toree.java_options(plan))
        files.write_submit_options(submit_options)
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
        """What knows the secrets of its configuration; without its plan nobody does."""
        return self.plan.conf.redactor() if self.plan else None

    async def cleanup(self, restart: bool = False) -> None:
        """Called by KernelManager when the process is gone. Without `restart`, ports go too."""
        await super().cleanup(restart=restart)
        if not restart:
            self.give_back_ports()

    def give_back_ports(self) -> None:
        """Return what `kernel_ports` lent; the next launch takes others that are free then."""
        if self.lent_ports is not None and self.parent.parent.kernel_ports is not None:
            self.parent.parent.kernel_ports.give_back(self.lent_ports)
        self.lent_ports = None
