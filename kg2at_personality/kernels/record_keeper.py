"""The record of one kernel: made of what the kernel is now, and written at each step."""

from __future__ import annotations

from ..state.record import RUNNING, STARTING, WARM, Record, WaitLine
from ..system.processes import started_at
from .interfaces import Kernel


class RecordKeeper:
    """Writes a kernel's record into the manager's ledger.

    It keeps the step, when the process began, and `wait_line`, which a notebook shows while its cell waits for cores.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._step = STARTING
        self._started: float | None = None
        self.wait_line: WaitLine | None = None

    def write(self, step: str | None = None) -> None:
        """Write the record, at `step` from now on (None: as before). Raises OSError, and changes nothing then."""
        kernel = self._kernel
        kernel.parent.supplies.ledger.write(self._record(step or self._step))
        self._step = step or self._step

    def write_if_possible(self, step: str | None = None) -> None:
        """Write the record as `write` does, where a disk that is full is no reason to stop."""
        try:
            self.write(step)
        except OSError as error:
            self._kernel.log.error("The record of kernel %s could not be written: %s", self._kernel.kernel_id, error)

    def write_process(self) -> None:
        """Called when a process was launched. Raises OSError for the first one, which nobody knows yet."""
        pid = self._kernel.pid
        self._started = started_at(pid) if pid else None
        if self._kernel.launches == 1:
            self.write(RUNNING)
        else:
            self.write_if_possible(RUNNING)

    def write_wait_line(self, line: WaitLine | None) -> None:
        """Called when a notebook shows another line, or none. A kernel that ends gets no record by that."""
        if self.wait_line == line:
            return
        self.wait_line = line
        if not self._kernel.shutting_down and self._kernel.execution_state != "dead":
            self.write_if_possible()

    def resume(self, record: Record) -> None:
        """Go on with the record of another gateway."""
        self._step, self._started, self.wait_line = record.step, record.started, record.wait_line

    def _record(self, step: str) -> Record:
        kernel, has_process = self._kernel, self._kernel.has_kernel
        return Record(
            kernel_id=kernel.kernel_id,
            kernel_name=kernel.kernel_name,
            # Whatever is done with one that waits, the next gateway has to end it.
            step=WARM if kernel.waits else step,
            connection_file=kernel.connection_file,
            since=kernel.since.isoformat(),
            env=kernel.requested,
            cwd=kernel.launch_args.get("cwd"),
            interpreter=kernel.kind.interpreter,
            pid=kernel.pid,
            pgid=kernel.group if has_process else None,
            started=self._started if has_process else None,
            launches=kernel.launches,
            info=kernel.info,
            is_set_up=kernel.setup_cell.has_ended,
            ports=kernel.kind.lent_ports,
            admission=kernel.admission,
            sessions=kernel.sessions,
            wait_line=self.wait_line,
            owner=kernel.owner,
        )
