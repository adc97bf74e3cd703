"""What the last gateway left: its kernels go on here, and what is nobody's is cleaned up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from jupyter_server._tz import utcnow

from .errors import KG2ATError
from .kernels.files import KernelFiles
from .kernels.kernel import GatewayKernel
from .kernels.strays import end_strays
from .kernels.zombies import Zombie
from .state.ledger import MARK, Ledger
from .state.record import RESTARTING, RUNNING, Record, read_connection_file
from .system.process_group import end_group, kill_group
from .system.processes import AdoptedProcess, Found, environment_of, find, is_same

#: Seconds until processes are looked for again.
SECOND_LOOK = 0.5


class Adoption:
    """Goes through records and processes once, before the gateway serves anybody."""

    def __init__(self, manager: Any, ledger: Ledger) -> None:
        self.manager, self.ledger, self.log = manager, ledger, manager.log
        self._found: dict[str, list[Found]] = {}

    async def run(self) -> None:
        """Take over what runs, end what was to end, remove what is left of the rest. Raises OSError."""
        records, broken = await asyncio.to_thread(self.ledger.read)
        files = {record.kernel_id: record.connection_file for record in records}
        files |= {kernel_id: self._connection_file(kernel_id) for kernel_id in broken}
        await self._find(files)
        if any(record.pid is None and self._leader(record.kernel_id) is None for record in records):
            # For a moment of its start a process has no environment.
            await asyncio.sleep(SECOND_LOOK)
            await self._find(files)
        records += [record for kernel_id in broken if (record := await self._rescued(kernel_id)) is not None]
        known = {record.kernel_id for record in records}
        strays = (self._found.keys() | set(broken)) - known
        left = {record.kernel_id: self._go_on(record) for record in records}
        left |= {kernel_id: self._end_stray(kernel_id) for kernel_id in strays}
        await asyncio.gather(*(self._safely(kernel_id, work) for kernel_id, work in left.items()))

    async def _find(self, files: dict[str, str]) -> None:
        self._found.clear()
        for found in await asyncio.to_thread(find, MARK, str(self.ledger.path), files):
            self._found.setdefault(found.kernel_id, []).append(found)

    async def _safely(self, kernel_id: str, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` for one kernel; nothing that goes wrong keeps the others from going on."""
        try:
            await work
        except Exception:
            self.log.exception("What the last gateway left of kernel %s stays as it is", kernel_id)

    def _connection_file(self, kernel_id: str) -> str:
        return os.path.join(self.manager.connection_dir, f"kernel-{kernel_id}.json")

    # Which process is whose.

    def _leader(self, kernel_id: str) -> Found | None:
        """The kernel's own process: the first of its group, as a launch script's children may have its arguments."""
        kernels = [found for found in self._found.get(kernel_id, ()) if found.is_kernel]
        return min(kernels, key=lambda found: found.pid != found.pgid, default=None)

    def _with_process(self, record: Record) -> Record:
        """The record with the process that runs now; with None for one that is gone, or was never written down."""
        if record.pid is not None and record.started is not None and is_same(record.pid, record.started):
            env = environment_of(record.pid)
            if env is None or env.get("KERNEL_ID") == record.kernel_id:
                return record
        leader = self._leader(record.kernel_id)
        if leader is None:
            return replace(record, pid=None)
        return replace(record, pid=leader.pid, pgid=leader.pgid, started=leader.started)

    async def _rescued(self, kernel_id: str) -> Record | None:
        """A record for a kernel that runs and lost its own, by what its process and its connection file say."""
        leader, path, manager = self._leader(kernel_id), self._connection_file(kernel_id), self.manager
        if leader is None:
            return None
        env = environment_of(leader.pid) or {}
        env = {name: value for name, value in env.items() if name.startswith("KERNEL_")}
        try:
            name = str(read_connection_file(path)["kernel_name"])
            plan = (await manager.launch_arguments(name, env)).get("plan")
            admission = manager.admission(kernel_id, name, env, plan) if plan is not None else None
            if admission is not None:
                # It was launched by another plan, perhaps.
                admission = replace(admission, request=replace(admission.request, application=None))
        except (OSError, ValueError, LookupError, KG2ATError) as error:
            self.log.warning("Kernel %s can't be taken over without its record: %s", kernel_id, error)
            return None
        record = Record(kernel_id, name, RUNNING, path, utcnow().isoformat(), env, launches=1)
        return record if plan is None else replace(record, interpreter=plan.interpreter, admission=admission)

    # What becomes of them.

    async def _go_on(self, record: Record) -> None:
        """Do with one kernel what its last gateway would have done."""
        record, groups = self._with_process(record), self._groups(record.kernel_id, record.pgid)
        if record.pid is not None and record.pgid is not None:
            groups.add(record.pgid)
        kernel = self._taken_over(record) if record.pid is not None or record.step == RESTARTING else None
        if kernel is None:
            self.log.info("What is left of kernel %s is removed", record.kernel_id)
            await self._clean(record.kernel_id, record.connection_file, groups)
            return
        await self.manager.enlist(kernel)
        if record.step == RUNNING:
            kernel.follow()
            kernel.note_if_possible()
            self.log.info("Kernel %s (%s, process %s) goes on", kernel.kernel_id, kernel.kernel_name, kernel.pid)
        elif record.step == RESTARTING:
            self.manager.keep(self._restart(kernel, groups))
        else:
            self.log.info("Kernel %s (%s) is ended, as the last gateway was to", kernel.kernel_id, record.step)
            self.manager.keep(self.manager.shutdown_kernel(kernel.kernel_id))

    def _taken_over(self, record: Record) -> GatewayKernel | None:
        """The kernel; None for one that nobody could reach."""
        manager, process = self.manager, None
        kernel: GatewayKernel = manager.kernel_of(record.kernel_id, record.kernel_name, record.connection_file)
        if record.pid is not None and record.started is not None:
            process = AdoptedProcess(record.pid, record.started, record.pgid)
        try:
            kernel.take_over(record, process, manager.launch_of(record))
        except (OSError, ValueError) as error:
            self.log.warning("Kernel %s can't be taken over, and is ended: %s", record.kernel_id, error)
            return None
        if record.ports and manager.kernel_ports is not None:
            manager.kernel_ports.keep(record.ports)
        return kernel

    async def _restart(self, kernel: GatewayKernel, groups: set[int]) -> None:
        """Bring the restart to its end that the last gateway began."""
        self.log.info("Kernel %s is restarted, as the last gateway was to", kernel.kernel_id)
        try:
            await self._end_groups(kernel.kernel_id, groups - {kernel.group})
            await kernel.restart_kernel(now=True)
        except Exception as error:
            await kernel.bury(f"The gateway died while it restarted the kernel, which failed again: {error}")

    async def _end_stray(self, kernel_id: str) -> None:
        if self._leader(kernel_id) is not None:
            self.log.warning("Kernel %s has no record, and is ended", kernel_id)
        await self._clean(kernel_id, self._connection_file(kernel_id), self._groups(kernel_id))

    async def _clean(self, kernel_id: str, connection_file: str, groups: Iterable[int]) -> None:
        """End what is left of a kernel's processes, and remove its files and its record."""
        is_gone = await self._end_groups(kernel_id, groups) and await self._end_strays(kernel_id)
        self._remove_files(connection_file)
        if is_gone:
            self.manager.forget(kernel_id)
        self.manager.remember(kernel_id)

    def _groups(self, kernel_id: str, group: int | None = None) -> set[int]:
        """The process groups of the kernel, `group` among them if one in it is known to be the kernel's."""
        of_kernel = self._found.get(kernel_id, ())
        return {found.pgid for found in of_kernel if found.is_kernel or found.pgid == group}

    async def _end_groups(self, kernel_id: str, groups: Iterable[int]) -> bool:
        """True when all are gone. One that can't be ended is a zombie from now on."""
        is_gone = True
        for group in groups:
            if not await end_group(group, self.log):
                is_gone, retry = False, partial(self._end_again, kernel_id, group)
                reason = "it outlived its gateway, and may not be signalled"
                self.manager.zombies.add(Zombie(kernel_id, "", group, utcnow(), reason, retry))
        return is_gone

    async def _end_again(self, kernel_id: str, group: int | None) -> bool:
        look = partial(self.manager.processes_of, kernel_id)
        return await kill_group(group, self.log) and await end_strays(look, self.log)

    async def _end_strays(self, kernel_id: str) -> bool:
        """As `_end_groups`, for what left the kernel's process groups."""
        retry = partial(self._end_again, kernel_id, None)
        if await retry():
            return True
        reason = "what its notebook started outlived the gateway, and may not be signalled"
        self.manager.zombies.add(Zombie(kernel_id, "", None, utcnow(), reason, retry))
        return False

    def _remove_files(self, connection_file: str) -> None:
        path = Path(connection_file)
        try:
            KernelFiles(connection_file).remove()
            for each in (path, *path.parent.glob(f"{path.stem}-ipc-*")):
                each.unlink(missing_ok=True)
        except OSError as error:
            self.log.error("Files of a kernel that is gone could not be removed: %s", error)
