"""What the last gateway left: its kernels go on here, and what is nobody's is cleaned up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from logging import Logger
from pathlib import Path
from typing import Any

from .errors import KG2ATError
from .kernels.files import KernelFiles
from .kernels.kernel import GatewayKernel
from .kernels.kernel_processes import KERNEL_ID, KernelProcess, find, kill_all
from .kernels.manager import GatewayKernelManager
from .kernels.takeover import take_over
from .kernels.zombies import Zombie
from .state.ledger import Ledger
from .state.record import RESTARTING, RUNNING, Record, read_connection_file
from .system.foreign_process import ForeignProcess
from .system.process_group import kill_group, terminate_group
from .system.processes import environment_of, is_same


class Adoption:
    """Goes through records and processes once, before the gateway serves anybody."""

    def __init__(self, manager: GatewayKernelManager, ledger: Ledger) -> None:
        self._manager, self._ledger = manager, ledger
        self._log: Logger = manager.log
        self._found: dict[str, list[KernelProcess]] = {}

    async def run(self) -> None:
        """Take over what runs, end what was to end, remove what is left of the rest. Raises OSError."""
        records, broken = await asyncio.to_thread(self._ledger.read)
        files = {record.kernel_id: record.connection_file for record in records}
        files |= {kernel_id: self._connection_file(kernel_id) for kernel_id in broken}
        await self._find(files)
        if any(record.pid is None and self._leader(record.kernel_id) is None for record in records):
            # For a moment of its start a process has no environment.
            await asyncio.sleep(self._manager.timing.second_look)
            await self._find(files)
        records += [record for kernel_id in broken if (record := await self._rescued(kernel_id)) is not None]
        known = {record.kernel_id for record in records}
        strays = (self._found.keys() | set(broken)) - known
        left = {record.kernel_id: self._go_on(record) for record in records}
        left |= {kernel_id: self._end_unrecorded(kernel_id) for kernel_id in strays}
        await asyncio.gather(*(self._safely(kernel_id, work) for kernel_id, work in left.items()))

    async def _find(self, files: dict[str, str]) -> None:
        self._found.clear()
        for found in await asyncio.to_thread(find, self._ledger.mark, files):
            self._found.setdefault(found.kernel_id, []).append(found)

    async def _safely(self, kernel_id: str, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` for one kernel; nothing that goes wrong keeps the others from going on."""
        try:
            await work
        except Exception:
            self._log.exception("What the last gateway left of kernel %s stays as it is", kernel_id)

    def _connection_file(self, kernel_id: str) -> str:
        return os.path.join(self._manager.connection_dir, f"kernel-{kernel_id}.json")

    # Which process is whose.

    def _leader(self, kernel_id: str) -> KernelProcess | None:
        """Return the kernel's own process: the first of its group, as children of a script may have its arguments."""
        kernels = [found for found in self._found.get(kernel_id, ()) if found.is_kernel]
        return min(kernels, key=lambda found: found.pid != found.pgid, default=None)

    def _with_process(self, record: Record) -> Record:
        """Return the record with the process that runs now; with None when it is gone, or was never written down."""
        if record.pid is not None and record.started is not None and is_same(record.pid, record.started):
            env = environment_of(record.pid)
            if env is None or env.get(KERNEL_ID) == record.kernel_id:
                return record
        leader = self._leader(record.kernel_id)
        if leader is None:
            return replace(record, pid=None)
        return replace(record, pid=leader.pid, pgid=leader.pgid, started=leader.started)

    async def _rescued(self, kernel_id: str) -> Record | None:
        """Return a record of a kernel that runs and lost its own, by what its process and its connection file say."""
        leader, path, manager = self._leader(kernel_id), self._connection_file(kernel_id), self._manager
        if leader is None:
            return None
        env = environment_of(leader.pid) or {}
        env = {name: value for name, value in env.items() if name.startswith("KERNEL_")}
        try:
            name = str(read_connection_file(path)["kernel_name"])
            plan = await manager.supplies.plan(name, env)
            admission = manager.supplies.admission(kernel_id, name, env, plan) if plan is not None else None
            if admission is not None:
                # It was launched by another plan, perhaps.
                admission = replace(admission, request=replace(admission.request, application=None))
        except (OSError, ValueError, LookupError, KG2ATError) as error:
            self._log.warning("Kernel %s can't be taken over without its record: %s", kernel_id, error)
            return None
        record = Record(kernel_id, name, RUNNING, path, datetime.now(timezone.utc).isoformat(), env, launches=1)
        return record if plan is None else replace(record, interpreter=plan.interpreter, admission=admission)

    # What becomes of them.

    async def _go_on(self, record: Record) -> None:
        """Do with one kernel what its last gateway would have done."""
        record, groups = self._with_process(record), self._groups(record.kernel_id, record.pgid)
        if record.pid is not None and record.pgid is not None:
            groups.add(record.pgid)
        kernel = self._taken_over(record) if record.pid is not None or record.step == RESTARTING else None
        if kernel is None:
            self._log.info("What is left of kernel %s is removed", record.kernel_id)
            await self._clean(record.kernel_id, record.connection_file, groups, record.owner)
            return
        self._claim_cores(kernel)
        await self._manager.enlist(kernel)
        if record.step == RUNNING:
            kernel.startup.follow()
            kernel.recorder.write_if_possible()
            self._log.info("Kernel %s (%s, process %s) goes on", kernel.kernel_id, kernel.kernel_name, kernel.pid)
        elif record.step == RESTARTING:
            self._manager.keep(self._restart(kernel, groups))
        else:
            self._log.info("Kernel %s (%s) is ended, as the last gateway was to", kernel.kernel_id, record.step)
            self._manager.keep(self._manager.shutdown_kernel(kernel.kernel_id))

    def _taken_over(self, record: Record) -> GatewayKernel | None:
        """Return the kernel; None for one that nobody could reach."""
        manager, process = self._manager, None
        kernel = manager.make_kernel(record.kernel_id, record.kernel_name, record.connection_file)
        if record.pid is not None and record.started is not None:
            process = ForeignProcess(record.pid, record.started, record.pgid)
        env = manager.supplies.environment(record.kernel_id, record.env, record.owner)
        try:
            take_over(kernel, record, process, manager.launch_args(record.kernel_id, env, record.cwd))
        except (OSError, ValueError) as error:
            self._log.warning("Kernel %s can't be taken over, and is ended: %s", record.kernel_id, error)
            return None
        if record.ports and manager.kernel_ports is not None:
            manager.kernel_ports.keep(record.ports)
        return kernel

    def _claim_cores(self, kernel: GatewayKernel) -> None:
        """Give the kernel the lease that it had at its last gateway."""
        if kernel.admission is not None:
            request, urls = kernel.admission.request, kernel.admission.urls
            age = (datetime.now(timezone.utc) - kernel.since).total_seconds()
            self._manager.supplies.clusters.adopt(request, urls, restarted=kernel.launches > 1, age=age)

    async def _restart(self, kernel: GatewayKernel, groups: set[int]) -> None:
        """Bring the restart to its end that the last gateway began."""
        self._log.info("Kernel %s is restarted, as the last gateway was to", kernel.kernel_id)
        try:
            await self._terminate_groups(kernel.kernel_id, groups - {kernel.group})
            await kernel.restart_kernel(now=True)
        except Exception as error:
            await kernel.mark_dead(f"The gateway died while it restarted the kernel, which failed again: {error}")

    async def _end_unrecorded(self, kernel_id: str) -> None:
        if self._leader(kernel_id) is not None:
            self._log.warning("Kernel %s has no record, and is ended", kernel_id)
        await self._clean(kernel_id, self._connection_file(kernel_id), self._groups(kernel_id))

    async def _clean(self, kernel_id: str, connection_file: str, groups: Iterable[int], owner: str = "") -> None:
        """End what is left of a kernel's processes, and remove its files and its record."""
        is_gone = await self._terminate_groups(kernel_id, groups) and await self._kill_descendants(kernel_id)
        self._remove_files(connection_file)
        if is_gone:
            self._manager.supplies.forget(kernel_id)
        self._manager.stops.ended.add(kernel_id, owner)

    def _groups(self, kernel_id: str, group: int | None = None) -> set[int]:
        """Return the process groups of the kernel, `group` among them if a process in it is the kernel's."""
        of_kernel = self._found.get(kernel_id, ())
        return {found.pgid for found in of_kernel if found.is_kernel or found.pgid == group}

    async def _terminate_groups(self, kernel_id: str, groups: Iterable[int]) -> bool:
        """Terminate them. Return whether all are gone; one that can't be ended is a zombie from now on."""
        is_gone = True
        for group in groups:
            if not await terminate_group(group, self._log, self._manager.timing.kill):
                is_gone, retry = False, partial(self._kill_again, kernel_id, group)
                reason = "it outlived its gateway, and may not be signalled"
                self._manager.zombies.add(Zombie(kernel_id, "", group, datetime.now(timezone.utc), reason, retry))
        return is_gone

    async def _kill_again(self, kernel_id: str, group: int | None) -> bool:
        look, times = partial(self._manager.supplies.processes_of, kernel_id), self._manager.timing.kill
        return await kill_group(group, self._log, times) and await kill_all(look, self._log, times)

    async def _kill_descendants(self, kernel_id: str) -> bool:
        """Kill what left the kernel's process groups, as `_terminate_groups` does."""
        retry = partial(self._kill_again, kernel_id, None)
        if await retry():
            return True
        reason = "what its notebook started outlived the gateway, and may not be signalled"
        self._manager.zombies.add(Zombie(kernel_id, "", None, datetime.now(timezone.utc), reason, retry))
        return False

    def _remove_files(self, connection_file: str) -> None:
        path = Path(connection_file)
        try:
            KernelFiles(connection_file).remove()
            for each in (path, *path.parent.glob(f"{path.stem}-ipc-*")):
                each.unlink(missing_ok=True)
        except OSError as error:
            self._log.error("Files of a kernel that is gone could not be removed: %s", error)


async def take_over_kernels(manager: GatewayKernelManager, ledger: Ledger) -> None:
    """Write kernels down in `ledger` from now on, and go on with those that stand there. Called once, first.

    Raises StateDirInUse. A directory that can't be used is told in the log, and refuses new kernels until it can.
    """
    try:
        await asyncio.to_thread(ledger.open)
        manager.supplies.ledger = ledger
        if not ledger.is_new:
            await Adoption(manager, ledger).run()
    except OSError as error:
        manager.supplies.ledger = ledger
        manager.log.error("New kernels are refused, as the state directory %s can't be used: %s", ledger.path, error)
