"""What the processes of a kernel print, one after the other, in the log of the kernel."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..system.foreign_process import UNKNOWN_STATUS
from .files import KernelFiles
from .interfaces import Kernel
from .output import ProcessOutput


class Console:
    """The output of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        #: Of the last process that this gateway launched.
        self._output: ProcessOutput | None = None
        #: Bytes of its log when it first answered: what it prints at its start tells of no later death.
        self._answered_at = 0

    @contextmanager
    def opened(self, env: Mapping[str, str]) -> Iterator[int]:
        """Yield the descriptor for the output of the next process, which has `env`. Raises OSError."""
        self._output = ProcessOutput(self._files, self._kernel.parent.max_kernel_log_size)
        self._answered_at = 0
        with self._output.opened(env) as sink:
            yield sink

    def note_answer(self) -> None:
        """Called when the process answers."""
        self._answered_at = self._files.log_size()

    async def ending(self) -> str:
        """Return how its process ended, and what it printed last that tells why. Called when it has ended."""
        lines = await self.last_lines()
        nothing = "" if self._kernel.has_answered else " It printed nothing."
        said = f" Its last lines:\n{lines}" if lines else nothing
        return f"({_how(await self._kernel.provisioner.poll())}).{said}"

    async def last_lines(self) -> str:
        """Return what its process printed last that tells why it died, without secrets; "" for none."""
        redactor = self._kernel.kind.redactor()
        if redactor is None:
            return ""
        if self._output is not None:
            await self._output.drained()
        return redactor.text("\n".join(await asyncio.to_thread(self._files.last_lines, self._answered_at)))

    def without_secrets(self, text: str) -> str:
        """Return `text` without the secrets of the kernel's configuration; as it is when nobody knows those."""
        plan = self._kernel.kind.plan
        return plan.conf.redactor().text(text) if plan is not None else text

    @property
    def _files(self) -> KernelFiles:
        return KernelFiles(self._kernel.connection_file)


def _how(status: int | None) -> str:
    """Return in words what Popen.returncode says. SIGKILL is what Linux ends a process by when memory runs out."""
    if status is None or status == UNKNOWN_STATUS:
        return "exit status unknown"
    if status >= 0:
        return f"exit status {status}"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    return f"ended by {name}" + (", as when memory runs out" if -status == signal.SIGKILL else "")
