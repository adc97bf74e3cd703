"""A gateway that is measured, and waiting for what it starts and ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.error import URLError

import psutil

from tests.bench.quantities import CannotMeasure
from tests.fakes.gateway_process import Answer, Gateway

#: Seconds between two looks at a gateway that starts or a kernel that ends: what that is measured to.
POLL = 0.005
DEATH_LIMIT = 60.0
MIB = 2**20


class Measured(Gateway):
    """A gateway whose requests wait, while it starts, until they are answered."""

    def request(self, *args: Any, **kwargs: Any) -> Answer:
        while True:
            try:
                return super().request(*args, **kwargs)
            except URLError:
                if self.process is None or self.process.poll() is not None:
                    raise
                time.sleep(POLL)

    def children(self) -> list[psutil.Process]:
        """Its kernels' processes."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def processes_of(self, kernel_id: str) -> list[psutil.Process]:
        """Those of them that name this kernel on their command line, as a Toree does."""
        return [process for process in self.children() if names(process, kernel_id)]

    def toree_memory(self, kernel_id: str) -> float:
        """Resident MiB of that Toree: its JVM alone, without what writes its log."""
        return max(process.memory_info().rss for process in self.processes_of(kernel_id)) / MIB

    def kernel_memory(self) -> float:
        """Resident MiB of its kernels' processes."""
        return sum(process.memory_info().rss for process in self.children()) / MIB

    def memory(self) -> float:
        """Resident MiB of the gateway itself."""
        assert self.process is not None
        return float(psutil.Process(self.process.pid).memory_info().rss / MIB)


def names(process: psutil.Process, word: str) -> bool:
    """Whether the word is on its command line; False for one that has ended."""
    with suppress(psutil.NoSuchProcess):
        return word in " ".join(process.cmdline())
    return False


def used_kernel(gateway: Measured, name: str, code: str) -> str:
    """Start a kernel that has run `code`, with nobody connected any more; its id."""
    kernel_id = gateway.start_kernel(name)
    channels = gateway.connect(kernel_id)
    result = channels.run(code)
    channels.close()
    if result.reply["status"] != "ok":
        raise CannotMeasure(f"A kernel could not run {code!r}: {result}\n{gateway.log}")
    return kernel_id


def check_deleted(gateway: Measured, statuses: list[int]) -> None:
    if set(statuses) != {204}:
        raise CannotMeasure(f"DELETE was answered with {statuses}:\n{gateway.log}")


def has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, or only waits to be reaped."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], bool], otherwise: str, seconds: float = DEATH_LIMIT) -> None:
    """Raises CannotMeasure, with `otherwise`, when it is not met in time."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise CannotMeasure(f"{otherwise}, within {seconds:g} s.")
        time.sleep(POLL)


@contextmanager
def ended(gateway: Measured) -> Iterator[Measured]:
    """End the gateway, and what it forgot to end."""
    try:
        yield gateway
    finally:
        if gateway.process is not None and gateway.process.poll() is None:
            with dying(gateway.children()):
                gateway.stop()


@contextmanager
def dying(processes: list[psutil.Process]) -> Iterator[None]:
    """Wait, after the block, until all these are gone; kill what lives on."""
    try:
        yield
    finally:
        _, left = psutil.wait_procs(processes, timeout=DEATH_LIMIT)
        for process in left:
            note(f"{process} lived on, and is killed\n")
            process.kill()


def note(text: str) -> None:
    """A line of progress on a terminal; nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
