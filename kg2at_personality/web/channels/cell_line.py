"""The line below a cell that waits for cores: shown, updated in place, removed without a trace.

To remove it the cell is cleared, and its outputs are sent once more: an update with no text would leave an empty output
in what the notebook saves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...kernels.kernel import GatewayKernel
from ...state.record import WaitLine
from ..protocol.gateway_outputs import GatewayOutputs
from .cell_run import CellRun


class CellLine:
    """Belongs to one websocket. `write` writes a message of the iopub channel to its notebook.

    A cell that shows it stands in the kernel's record, so that the next gateway can go on.
    """

    def __init__(
        self, kernel: GatewayKernel, outputs: GatewayOutputs, write: Callable[[list[Any]], None], session_id: str
    ) -> None:
        self._kernel, self._outputs, self._write, self._session_id = kernel, outputs, write, session_id

    def show(self, running: CellRun, text: str) -> None:
        """Show `text` below a cell, in the place of what is there. No-op if it is there, or would lose outputs."""
        if running.line == text:
            return
        outputs = running.outputs
        if running.has_display:
            self._update(running, text)
        elif outputs.clear is None:
            self._display(running, text)
        elif outputs.is_whole:
            self._repeat(running, text)
        else:
            return  # a new output would have them cleared before their time
        running.line, running.was_shown = text, True

    def renew(self, running: CellRun, text: str | None) -> None:
        """Show `text`, or None for nothing, to a client that may or may not have got what was shown before."""
        if running.outputs.is_whole and running.was_shown:
            self._repeat(running, text)
            running.line = text
        elif running.has_display:
            running.line = ""  # so that an update is sent, whatever was there
        elif running.was_shown:
            self._update(running, "")
            running.display_id += "-again"
        if text is not None:
            self.show(running, text)
        elif running.line is not None:
            self.remove(running)
        else:
            self.forget(running)

    def remove(self, running: CellRun) -> None:
        """Remove the line. No-op if there is none."""
        if running.line is None:
            return
        running.line = None
        if running.outputs.is_whole:
            self._repeat(running, None)
            self.forget(running)
        else:
            running.is_left_empty = True
            self._update(running, "")

    def note_output(self, running: CellRun) -> None:
        """Called before a cell shows an output of its own."""
        line = self._line_of(running)
        if line is not None and line.is_alone:
            self._kernel.recorder.write_wait_line(replace(line, is_alone=False))

    def note_cleared(self, running: CellRun) -> None:
        """Called when the kernel has cleared the cell, the line with it."""
        running.line, running.is_left_empty = None, False

    def forget(self, running: CellRun) -> None:
        """Take it from the kernel's record. Called when nothing is left of it, or its cell has ended. Idempotent."""
        if self._line_of(running) is not None:
            self._kernel.recorder.write_wait_line(None)

    def _repeat(self, running: CellRun, text: str | None) -> None:
        """Clear the cell, and send its outputs once more, with `text` below them unless it is None."""
        outputs = running.outputs
        self._write(self._outputs.clear(running.cell.header, wait=text is not None or not outputs.is_empty))
        for message in outputs.messages:
            self._write(self._outputs.again(message))
        running.is_left_empty = False
        if text is not None:
            self._display(running, text)
        if outputs.clear is not None:
            self._write(self._outputs.again(outputs.clear))

    def _display(self, running: CellRun, text: str) -> None:
        self._record(running, running.outputs.is_empty)
        self._write(self._outputs.display(running.cell.header, text, running.display_id))

    def _update(self, running: CellRun, text: str) -> None:
        self._write(self._outputs.update(running.cell.header, text, running.display_id))

    def _record(self, running: CellRun, is_alone: bool) -> None:
        self._kernel.recorder.write_wait_line(
            WaitLine(running.cell.header, running.display_id, self._session_id, is_alone)
        )

    def _line_of(self, running: CellRun) -> WaitLine | None:
        """Return what the kernel's record says of the cell."""
        line = self._kernel.recorder.wait_line
        return line if line is not None and line.cell["msg_id"] == running.cell.msg_id else None
