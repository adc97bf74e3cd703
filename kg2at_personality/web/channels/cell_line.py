"""The line below a cell that waits for cores: shown, updated in place, removed without a trace.

To remove it the cell is cleared, and its outputs are sent once more: an update with no text would leave an empty output
in what the notebook saves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...kernels.kernel import GatewayKernel
from ...state.record import WaitLine
from ..protocol.gateway_outputs import GatewayOutputs
from .running_cell import RunningCell


class CellLine:
    """Belongs to one websocket. `write` writes a message of the iopub channel to its notebook.

    A cell that shows it stands in the kernel's record, so that the next gateway can go on.
    """

    def __init__(
        self, kernel: GatewayKernel, outputs: GatewayOutputs, write: Callable[[list[Any]], None], session_id: str
    ) -> None:
        self._kernel, self._outputs, self._write, self._session_id = kernel, outputs, write, session_id

    def show(self, running: RunningCell, text: str) -> None:
        """Show `text` below a cell, in the place of what is there. No-op if it is there, or would lose outputs."""
        header, outputs = running.cell.header, running.outputs
        if running.line == text or (outputs.clear is not None and not (outputs.is_whole or running.has_display)):
            return
        if running.has_display:
            self._write(self._outputs.update(header, text, running.display_id))
        else:
            self._record(running, outputs.is_empty)
            self._write(self._outputs.display(header, text, running.display_id))
            if outputs.clear is not None:  # which this output has used up
                self._write(self._outputs.again(outputs.clear))
        running.line = text

    def show_anew(self, running: RunningCell, text: str) -> None:
        """Show `text` to a client that may or may not have got what was shown before."""
        running.line = None if running.outputs.is_whole else ""
        if running.outputs.is_whole:
            self._repeat(running, is_followed=True)
        self.show(running, text)

    def remove(self, running: RunningCell) -> None:
        """Remove the line. No-op if there is none."""
        if running.line is None:
            return
        running.line = None
        if running.outputs.is_whole:
            self._repeat(running, is_followed=False)
            self.forget(running)
        else:
            running.is_left_empty = True
            self._write(self._outputs.update(running.cell.header, "", running.display_id))

    def note_output(self, running: RunningCell) -> None:
        """Called before a cell shows an output of its own."""
        if running.line is not None and running.outputs.is_empty:
            self._record(running, is_alone=False)

    def note_cleared(self, running: RunningCell) -> None:
        """Called when the kernel has cleared the cell, the line with it."""
        running.line, running.is_left_empty = None, False

    def forget(self, running: RunningCell) -> None:
        """Take it from the kernel's record. Called when nothing is left of it, or its cell has ended. Idempotent."""
        line = self._kernel.wait_line
        if line is not None and line.display_id == running.display_id:
            self._write_record(None)

    def _repeat(self, running: RunningCell, is_followed: bool) -> None:
        """Clear the cell, and send its outputs once more."""
        outputs = running.outputs
        self._write(self._outputs.clear(running.cell.header, wait=is_followed or not outputs.is_empty))
        for message in outputs.messages:
            self._write(self._outputs.again(message))
        running.is_left_empty = False

    def _record(self, running: RunningCell, is_alone: bool) -> None:
        self._write_record(WaitLine(running.cell.header, running.display_id, self._session_id, is_alone))

    def _write_record(self, line: WaitLine | None) -> None:
        if self._kernel.wait_line != line:
            self._kernel.wait_line = line
            self._kernel.recorder.write_if_possible()
