"""A kernel that can be written down, and taken over from what was."""

from __future__ import annotations

import asyncio
import concurrent.futures
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from jupyter_client.connect import LocalPortCache
from jupyter_client.kernelspec import KernelSpec, NoSuchKernel
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner
from jupyter_server._tz import utcnow
from kernel_gateway.services.kernels.manager import KernelGatewayIOLoopKernelManager

from ..spark.redaction import Redactor
from ..state.record import RUNNING, STARTING, Admission, Record, read_connection_file
from ..system.processes import AdoptedProcess, started_at
from .files import KernelFiles
from .output import KernelOutput
from .provisioner import ToreeProvisioner


class RecordedKernel(KernelGatewayIOLoopKernelManager):  # type: ignore[misc]
    """Kernel Gateway's manager of one kernel, with what its record says beside what jupyter_client knows.

    `requested` is the environment that its client sent, `admission` what it was admitted with, `sessions` the rows of
    the sessions that belong to it, `launches` the number of its processes so far.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.since = utcnow()
        self.requested: dict[str, str] | None = None
        self.admission: Admission | None = None
        self.sessions: list[dict[str, Any]] = []
        self.launches = 0
        self.provisioner: Any
        self._step = STARTING
        self._started: float | None = None
        self._adopted_group: int | None = None
        self._info: dict[str, Any] | None = None
        self._output: KernelOutput | None = None

    @property
    def pid(self) -> int | None:
        """Its process, None when it has none."""
        return self.provisioner.pid if self.has_kernel else None

    @property
    def group(self) -> int | None:
        """Its process group, also of the process that died just now; None when it has none."""
        return getattr(self.provisioner, "pgid", None) or self._adopted_group

    @property
    def is_toree(self) -> bool:
        """Whether kg2at launches it by spark-submit."""
        return isinstance(self.provisioner, ToreeProvisioner)

    # What is beside its connection file.

    @property
    def files(self) -> KernelFiles:
        """Its files, beside its connection file."""
        return KernelFiles(self.connection_file)

    def write_connection_file(self, **kwargs: Any) -> None:
        """Called before each launch: write it anew, as the notebook may have overwritten or removed it."""
        if self._connection_file_written:
            Path(self.connection_file).unlink(missing_ok=True)
        super().write_connection_file(**kwargs)

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
        if not isinstance(self.provisioner, LocalProvisioner):
            await super()._async_launch_kernel(kernel_cmd, **kw)
            return
        self._output = KernelOutput(self.files, self.parent.max_kernel_log_size)
        with self._output.opened(kw["env"]) as sink:
            await super()._async_launch_kernel(kernel_cmd, stdout=sink, stderr=subprocess.STDOUT, **kw)

    async def last_lines(self) -> str:
        """What its process printed last that tells why it died, without its configuration's secrets; "" for none."""
        redactor = self.provisioner.redactor() if self.is_toree else Redactor()
        if redactor is None:
            return ""
        if self._output is not None:
            await self._output.drained()
        return redactor.text("\n".join(await asyncio.to_thread(self.files.last_lines)))

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart=restart)
        if not restart:
            self.files.remove()

    cleanup_resources: Callable[..., Any] = _async_cleanup_resources

    # Its record.

    def note(self, step: str | None = None) -> None:
        """Write the record, at `step` from now on (None: as before). Raises OSError, and changes nothing then."""
        if self.parent.ledger is not None:
            self.parent.ledger.write(self._record(step or self._step))
        self._step = step or self._step

    def note_if_possible(self, step: str | None = None) -> None:
        """The same, where a disk that is full is no reason to stop."""
        try:
            self.note(step)
        except OSError as error:
            self.log.error("The record of kernel %s could not be written: %s", self.kernel_id, error)

    def _record(self, step: str) -> Record:
        provisioner, has_process = self.provisioner, self.has_kernel
        return Record(
            kernel_id=self.kernel_id,
            kernel_name=self.kernel_name,
            step=step,
            connection_file=self.connection_file,
            since=self.since.isoformat(),
            env=self.requested,
            cwd=(self._launch_args or {}).get("cwd"),
            interpreter=provisioner.interpreter if self.is_toree else "",
            pid=self.pid,
            pgid=self.group if has_process else None,
            started=self._started if has_process else None,
            launches=self.launches,
            info=self._info,
            ports=provisioner.lent_ports if self.is_toree else None,
            admission=self.admission,
            sessions=self.sessions,
        )

    def _note_process(self) -> None:
        """Called when a process was launched. Raises OSError for the first one, which nobody knows yet."""
        self.launches += 1
        self._adopted_group = None
        self._started = started_at(self.pid) if self.pid else None
        if self.launches == 1:
            self.note(RUNNING)
        else:
            self.note_if_possible(RUNNING)

    # What it said of itself.

    def _remember_info(self, info: dict[str, Any]) -> None:
        """Keep its kernel_info_reply where jupyter_server's connections look for it, so that none asks again."""
        self._info = info
        self._kernel_info_future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._kernel_info_future.set_result(info)

    def _forget_info(self) -> None:
        """What the last process said of itself is nothing that the next one said."""
        self._info = None
        self.__dict__.pop("_kernel_info_future", None)

    # Taking over.

    def take_over(self, record: Record, process: AdoptedProcess | None, launch: dict[str, Any]) -> None:
        """Become the manager of a kernel that another gateway started; `launch` are the arguments of its next start.

        Raises OSError and ValueError for a connection file that is of no use.
        """
        self.load_connection_info(read_connection_file(record.connection_file))
        self._connection_file_written = True
        self.kernel_id = record.kernel_id
        self.since = datetime.fromisoformat(record.since)
        self.requested, self.admission, self.sessions = record.env, record.admission, record.sessions
        self.launches, self._step, self._started = record.launches, record.step, record.started
        if record.info is not None:
            self._remember_info(record.info)
        self._launch_args = launch
        self._attempted_start = True
        self._find_spec(record)
        self._take_process(record, process)

    def _find_spec(self, record: Record) -> None:
        """A kernelspec that is gone can't be started again, but what runs is what it is."""
        with suppress(NoSuchKernel):
            if self.kernel_spec is not None:
                return
        metadata = {"kernel_provisioner": {"provisioner_name": "kg2at-toree-provisioner"}} if record.interpreter else {}
        self._kernel_spec = KernelSpec(argv=[], display_name=record.kernel_name, language="", metadata=metadata)

    def _take_process(self, record: Record, process: AdoptedProcess | None) -> None:
        factory = KernelProvisionerFactory.instance(parent=self.parent)
        provisioner = factory.create_provisioner_instance(self.kernel_id, self.kernel_spec, parent=self)
        if not isinstance(provisioner, LocalProvisioner):
            raise ValueError(f"its provisioner {type(provisioner).__qualname__} has no process here")
        self.provisioner = provisioner
        provisioner.process, provisioner.cwd = process, record.cwd  # type: ignore[assignment]
        if process is not None:
            # Not pgid, to which the provisioner would send signals, whoever has it by then.
            provisioner.pid, self._adopted_group = process.pid, process.group
        provisioner.connection_info = self.get_connection_info()
        if isinstance(provisioner, ToreeProvisioner):
            provisioner.interpreter = record.interpreter
        if isinstance(provisioner, ToreeProvisioner) and record.ports:
            provisioner.borrow(record.ports)
        else:
            # Its next process has the same ports.
            provisioner.ports_cached = True
            LocalPortCache.instance().currently_used_ports.update(self.ports)
