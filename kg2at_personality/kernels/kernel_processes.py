"""The processes of kernels, known by their environment or their command line: also what left its process group."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from logging import Logger

from ..system import processes
from ..system.process_group import DEFAULT, KillTimes
from ..system.processes import Process, environment_of, is_same, members

#: The variable in which each process of a kernel has its kernel's id.
KERNEL_ID = "KERNEL_ID"


@dataclass(frozen=True)
class KernelProcess:
    """A process of a kernel, begun at `started` (seconds since the epoch).

    `is_kernel` tells that its command line names the kernel's connection file: it is no mere child of the kernel.
    """

    pid: int
    pgid: int
    kernel_id: str
    started: float
    is_kernel: bool


def find(mark: Mapping[str, str], connection_files: Mapping[str, str]) -> list[KernelProcess]:
    """Return all processes that have the variables of `mark` and a KERNEL_ID in their environment.

    `connection_files` maps kernel ids to paths. Without psutil, those that have one of these paths in their arguments;
    none when ps can't be run. What may not be read, or ends meanwhile, is passed over. Blocking.
    """
    # "" would be in every command line.
    files = {kernel_id: path for kernel_id, path in connection_files.items() if path}
    if not processes.has_psutil():
        return _find_by_path(files)
    found = processes.find(lambda env: bool(env.get(KERNEL_ID)) and _has(env, mark))
    return [_kernel_process(process, files) for process in found]


def find_of(kernel_id: str, mark: Mapping[str, str]) -> list[KernelProcess]:
    """Return the processes of one kernel, as `find` does; none without psutil, or without a mark. Blocking."""
    if not mark:
        return []
    wanted = {KERNEL_ID: kernel_id, **mark}
    found = processes.find(lambda env: _has(env, wanted), f"{KERNEL_ID}={kernel_id}".encode())
    return [_kernel_process(process, {}) for process in found]


def is_group_of(group: int, kernel_id: str) -> bool:
    """Return whether a process of the kernel lives in the process group. False where the system does not tell."""
    environments = map(environment_of, members(group))
    return any(env is not None and env.get(KERNEL_ID) == kernel_id for env in environments)


async def kill_all(look: Callable[[], list[KernelProcess]], log: Logger, times: KillTimes = DEFAULT) -> bool:
    """Send SIGKILL to what `look`, which blocks, finds, until it finds nothing.

    Return False when one of them may not be signalled, or lives on.
    """
    pause, deadline = times.first_pause, time.monotonic() + times.limit
    while found := await asyncio.to_thread(look):
        errors = [error for process in found if (error := _kill(process)) is not None]
        if errors or time.monotonic() > deadline:
            log.warning("Processes %s can't be ended: %s", [one.pid for one in found], errors or "they live on")
            return False
        await asyncio.sleep(pause)
        pause = times.longer(pause)
    return True


def _kill(process: KernelProcess) -> OSError | None:
    """Send SIGKILL. Return how that failed, if it did."""
    try:
        if is_same(process.pid, process.started):
            os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except OSError as error:
        return error
    return None


def _has(environment: Mapping[str, str], variables: Mapping[str, str]) -> bool:
    return all(environment.get(name) == value for name, value in variables.items())


def _kernel_process(process: Process, files: Mapping[str, str]) -> KernelProcess:
    kernel_id = process.environment[KERNEL_ID]
    name = f"kernel-{kernel_id}.json"
    names = (name, files.get(kernel_id, name))
    is_kernel = any(one in argument for argument in process.arguments for one in names)
    return KernelProcess(process.pid, process.group, kernel_id, process.started, is_kernel)


def _find_by_path(files: Mapping[str, str]) -> list[KernelProcess]:
    return [
        KernelProcess(row.pid, row.group, kernel_id, row.started, is_kernel=True)
        for row in processes.rows()
        if (kernel_id := next((each for each, path in files.items() if path in row.command), None)) is not None
    ]
