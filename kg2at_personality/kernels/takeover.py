"""A kernel that another gateway started becomes one of this gateway's, by its record and its process."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from jupyter_client.connect import LocalPortCache
from jupyter_client.kernelspec import KernelSpec, NoSuchKernel
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

from ..state.record import Record, read_connection_file
from ..system.foreign_process import ForeignProcess
from .kernel import GatewayKernel
from .provisioner import NAME as PROVISIONER


def take_over(
    kernel: GatewayKernel, record: Record, process: ForeignProcess | None, launch_args: dict[str, Any]
) -> None:
    """Make a new `kernel` the manager of the one that `record` tells of; `launch_args` are those of its next start.

    A kernel that has answered is taken for busy until it is through with its cells. Raises OSError and ValueError for
    a connection file that is of no use.
    """
    # Any: jupyter_client's type for it is a dict in one release, a TypedDict in another.
    connection: Any = read_connection_file(record.connection_file)
    kernel.load_connection_info(connection)
    kernel.kernel_id = record.kernel_id
    kernel.since = kernel.cores_since = datetime.fromisoformat(record.since)
    kernel.requested, kernel.admission, kernel.sessions = record.env, record.admission, record.sessions
    kernel.launches, kernel.owner = record.launches, record.owner
    if record.wait_line is not None:
        kernel.running_cell = str(record.wait_line.cell["msg_id"])
    kernel.recorder.resume(record)
    if record.info is not None:
        kernel.remember_info(record.info)
    kernel.resume(launch_args)
    _find_spec(kernel, record)
    _take_process(kernel, record, process)
    kernel.startup.resume(record.info is not None, record.is_set_up)
    if record.info is not None:
        kernel.execution_state = "busy"
    if process is not None:
        kernel.start_restarter()


def _find_spec(kernel: GatewayKernel, record: Record) -> None:
    """Give it a kernelspec when its own is gone: it can't be started again by that, but its process goes on."""
    with suppress(NoSuchKernel):
        if kernel.kernel_spec is not None:
            return
    metadata = {"kernel_provisioner": {"provisioner_name": PROVISIONER}} if record.interpreter else {}
    kernel.replace_spec(KernelSpec(argv=[], display_name=record.kernel_name, language="", metadata=metadata))


def _take_process(kernel: GatewayKernel, record: Record, process: ForeignProcess | None) -> None:
    factory = KernelProvisionerFactory.instance(parent=kernel.parent)
    provisioner = factory.create_provisioner_instance(kernel.kernel_id, kernel.kernel_spec, parent=kernel)
    if not isinstance(provisioner, LocalProvisioner):
        raise ValueError(f"its provisioner {type(provisioner).__qualname__} has no process here")
    kernel.provisioner = provisioner
    provisioner.process, provisioner.cwd = process, record.cwd  # type: ignore[assignment]
    if process is not None:
        # Not pgid, to which the provisioner would send signals, whoever has it by then.
        provisioner.pid, kernel.adopted_group = process.pid, process.group
    provisioner.connection_info = kernel.get_connection_info()
    if not kernel.kind.restore(record.interpreter, record.ports):
        # Its next process has the same ports.
        provisioner.ports_cached = True
        LocalPortCache.instance().currently_used_ports.update(kernel.ports)
