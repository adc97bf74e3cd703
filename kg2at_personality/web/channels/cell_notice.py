"""What a notebook is told below its cell: that it waits for cores, and why it ends when that has lasted too long.

All of that comes before the cell's idle status: JupyterLab and nbclient take nothing that comes later.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from jupyter_client.session import DELIM

from ...kernels.kernel import GatewayKernel
from ...kernels.message import CONTENT, HEADER, PARENT, parsed, with_content
from ..protocol.client_message import Message
from ..protocol.gateway_outputs import GatewayOutputs
from .cell_line import CellLine
from .cell_outputs import ADDING, CLEAR, LIMIT, UPDATE, CellOutputs
from .cell_run import CellRun
from .notebook import Notebook
from .session_cells import MAX_HEADER, SessionCells, cells_of

_MSG_TYPE = re.compile(rb'"msg_type"\s*:\s*"(\w+)"')
OUTPUTS = (*ADDING, UPDATE, CLEAR)


class CellNotice:
    """Belongs to one open websocket, whose client gave `session_id` ("": none). Stands before its notebook.

    It follows the cells that its session has sent, and keeps `limit` bytes of their outputs if the kernel has a lease.
    """

    def __init__(self, kernel: GatewayKernel, notebook: Notebook, session_id: str, limit: int = LIMIT) -> None:
        self._kernel, self.notebook, self._session_id, self._limit = kernel, notebook, session_id, limit
        self._outputs = GatewayOutputs(kernel, notebook.session)
        self._line = CellLine(kernel, self._outputs, self._publish, session_id)
        self.cells = SessionCells(session_id)
        self._is_open = self._is_late = False
        self._is_behind: Callable[[], bool] = lambda: False
        self.running: CellRun | None = None
        #: One that is to fail, and whose reply comes after its idle status.
        self._failing: CellRun | None = None

    @property
    def is_behind(self) -> bool:
        """Whether the websocket has not written yet all that it has heard."""
        return self._is_behind()

    def open(self, is_behind: Callable[[], bool]) -> None:
        """Begin, with what the session has left. Called when the websocket is open, before anything is written."""
        self._is_open, self._is_behind = True, is_behind
        self._kernel.observe(self._on_wait, "core_wait")
        self._kernel.observe(self._on_state, "execution_state")
        self.cells = cells_of(self._kernel).join(self, self._session_id)

    def close(self) -> None:
        """Leave the cell that runs to the next websocket of its client. No-op if it was never open."""
        if not self._is_open:
            return
        self._kernel.unobserve(self._on_wait, "core_wait")
        self._kernel.unobserve(self._on_state, "execution_state")
        cells_of(self._kernel).leave(self, self.cells)
        self.running = None

    def note_sent(self, message: Message) -> None:
        """Called for each message that is sent to the kernel."""
        is_shown = message.msg_type == "execute_request" and not message.content.get("silent")
        if is_shown and len(message.parts[0]) <= MAX_HEADER:
            self.cells.add(message.header)

    def tell(self, cell: dict[str, Any], text: str) -> None:
        """Write text on standard error below a cell; `cell` is its request's header."""
        self.write("iopub", self._outputs.stderr(cell, text))

    # What the kernel says.

    def write(self, channel: str, message: list[Any]) -> None:
        """Write a message from the kernel to the notebook. Called for each, in order."""
        if self.running is None and not self.cells.sent and self._failing is None:
            self.notebook.write(channel, message)
            return
        changed = self._heard(channel, message)
        if changed is not None:
            self.notebook.write(channel, changed)

    def _heard(self, channel: str, message: list[Any]) -> list[Any] | None:
        """Return the message as the notebook gets it; None when it does not, or has got it."""
        parts = message[message.index(DELIM) + 1 :] if DELIM in message else []
        found = _MSG_TYPE.search(parts[HEADER]) if len(parts) > CONTENT else None
        kind = found[1].decode() if found else ""
        if kind == "status":
            return self._hear_status(message, parts)
        if kind == "execute_reply":
            return self._hear_reply(message, parts)
        running = self.running
        if running is None or len(parts) <= CONTENT:
            return message
        if running.key in parts[PARENT]:
            return self._hear_output(running, kind, message, parts)
        if kind == UPDATE and running.outputs.displays(parts):
            running.outputs.add(kind, message, parts)
        return message

    def _hear_status(self, message: list[Any], parts: list[Any]) -> list[Any] | None:
        msg_id, state = str(parsed(parts[PARENT]).get("msg_id")), parsed(parts[CONTENT]).get("execution_state")
        if state == "idle":
            self.cells.end(msg_id)
            if self.running is not None and self.running.cell.msg_id == msg_id:
                self._end(self.running)
        elif state == "busy" and (cell := self.cells.begin(msg_id)) is not None:
            self.notebook.write("iopub", message)
            if self.running is None or self.running.cell is not cell:
                self._begin(CellRun(cell, CellOutputs(self._limit if self._kernel.admission is not None else 0)))
            return None
        return message

    def _begin(self, running: CellRun) -> None:
        if self.running is not None:
            self._end(self.running)
        self.running, kernel, cell = running, self._kernel, running.cell
        if kernel.core_note:
            cell.note, kernel.core_note = kernel.core_note, ""
        if cell.note:
            self._add(running, "display_data", self._outputs.display(cell.header, cell.note))
        self._show()  # the gateway may have heard of the cell, and told of its wait, before this websocket did

    def _end(self, running: CellRun) -> None:
        """Called before the notebook gets a cell's idle status, or hears of its kernel's end."""
        self._line.remove(running)
        self._line.forget(running)
        self.running = None
        if running.is_adopted and running.has_failed:
            self.notebook.write("shell", self._outputs.reply(running.cell.header, running.reply_content))
        elif running.error and not running.has_reply:
            self._failing = running

    def _hear_output(self, running: CellRun, kind: str, message: list[Any], parts: list[Any]) -> list[Any] | None:
        if kind == "input_request" or kind.startswith("comm_"):
            running.outputs.note_others()
        if kind not in OUTPUTS:
            return message
        if kind == "error" and running.error:
            self._fail(running)
            return None
        self._note_output(running, kind, message, parts)
        return message

    def _hear_reply(self, message: list[Any], parts: list[Any]) -> list[Any]:
        running = next((each for each in (self.running, self._failing) if each and each.key in parts[PARENT]), None)
        if running is None:
            return message
        running.has_reply, self._failing = True, None
        self._line.remove(running)
        content = parsed(parts[CONTENT])
        if not running.error or content.get("status") == "ok":
            return message
        self._fail(running)
        content |= running.reply_content
        return with_content(self.notebook.session, parts, content) or message

    # What the gateway says.

    def _fail(self, running: CellRun) -> None:
        """Show the cell's error, once."""
        if not running.has_failed:
            running.has_failed = True
            self._add(running, "error", self._outputs.error(running.cell.header, running.error_content))

    def _add(self, running: CellRun, kind: str, message: list[Any]) -> None:
        """Show an output that stays."""
        self._note_output(running, kind, message, message[1:])
        self._publish(message)

    def _note_output(self, running: CellRun, kind: str, message: list[Any], parts: list[Any]) -> None:
        self._line.note_output(running)
        if running.outputs.add(kind, message, parts):
            self._line.note_cleared(running)

    def _publish(self, message: list[Any]) -> None:
        self.notebook.write("iopub", message)

    # What it waits for.

    def take_over(self, running: CellRun) -> None:
        """Go on with a cell that another websocket of its client has seen."""
        is_now = self._kernel.running_cell == running.cell.msg_id
        if self.running is None or is_now:
            self.running = running
        wait = self._kernel.core_wait if is_now and not running.has_reply else None
        if wait is not None and wait.is_over:
            running.error = wait.message
        with self.notebook.frames.together():
            self._line.renew(running, None if wait is None or wait.is_over else wait.message)

    def _show(self) -> None:
        """Show what the cell that runs waits for, when the notebook has read what was written before."""
        running, wait = self.running, self._kernel.core_wait
        if running is None or wait is None or running.has_reply or self._kernel.running_cell != running.cell.msg_id:
            return
        if wait.is_over:
            running.error = wait.message
        elif self.notebook.is_ready:
            self._line.show(running, wait.message)
        elif not self._is_late:
            self._is_late = True
            self.notebook.when_ready(self._show_late)

    def _show_late(self) -> None:
        self._is_late = False
        self._show()

    def _on_wait(self, change: Any) -> None:
        """Called when the kernel's `core_wait` changes."""
        if change["new"] is not None:
            self._show()
        elif self.running is not None:
            with self.notebook.frames.together():
                self._line.remove(self.running)

    def _on_state(self, change: Any) -> None:
        """Forget the cells when the kernel's process ends. Called when the kernel's state changes."""
        if change["new"] in ("starting", "dead"):
            if self.running is not None:
                self._end(self.running)
            self.cells.sent.clear()
            self._failing = None
