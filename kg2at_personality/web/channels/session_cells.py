"""Who has sent the cells that a kernel has not ended yet. They stay its client's when that connects anew.

A client that gives a session id has the same one then. nb2kg and Jupyter Servers of old give their gateway none
(jupyter_server 2.0: gateway/connections.py): the next websocket without one is taken for the same client's.
"""

from __future__ import annotations

from typing import Any, Protocol
from weakref import WeakKeyDictionary

from ...kernels.kernel import GatewayKernel
from .cell_run import Cell, CellRun

#: Of how many sessions whose websockets are closed the cells are remembered.
MAX_CLOSED = 10
#: Of how many cells of a session it is remembered that they were sent, and the most bytes of the header of each.
MAX_SENT, MAX_HEADER = 1000, 4096


class CellWebsocket(Protocol):
    """An open websocket, as it is known here."""

    @property
    def running(self) -> CellRun | None:
        """Its session's cell that runs now, as this websocket has seen it."""

    @property
    def is_behind(self) -> bool:
        """Whether it has not written yet all that it has heard."""

    def take_over(self, running: CellRun) -> None:
        """Go on with a cell that another websocket of its client has seen."""


class SessionCells:
    """The cells that the websockets of one session have sent; `session_id` is "" for one that gave none."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.sent: dict[str, Cell] = {}
        #: The open ones, in the order in which they opened.
        self.websockets: list[CellWebsocket] = []
        #: What runs while none is open.
        self.left: CellRun | None = None

    @property
    def is_over(self) -> bool:
        """Whether nobody will ask for it."""
        return not (self.websockets or self.sent or self.left)

    def add(self, header: dict[str, Any]) -> None:
        """Called when a cell is sent to the kernel; `header` is its execute_request's."""
        if len(self.sent) < MAX_SENT:
            cell = Cell(header)
            self.sent[cell.msg_id] = cell

    def begin(self, msg_id: str) -> Cell | None:
        """Return the cell that begins to run, None if it is another's. Those sent before it have ended."""
        if msg_id in self.sent:
            for earlier in list(self.sent):
                if earlier == msg_id:
                    break
                del self.sent[earlier]
        return self.sent.get(msg_id)

    def unended(self, msg_id: str) -> Cell | None:
        """Return a cell that runs, None if it is another's; for "", as nobody knows it, the one that has to be next."""
        return self.sent.get(msg_id) if msg_id else next(iter(self.sent.values()), None)

    def end(self, msg_id: str) -> None:
        """Called when a cell has ended. Idempotent."""
        self.sent.pop(msg_id, None)


class KernelCells:
    """The cells of all sessions of one kernel."""

    def __init__(self, kernel: GatewayKernel) -> None:
        self._sessions: list[SessionCells] = []
        line = kernel.recorder.wait_line
        if line is not None:
            self._sessions.append(SessionCells(line.session))
            self._sessions[0].left = left = CellRun.of(line)
            self._sessions[0].sent[left.cell.msg_id] = left.cell
        kernel.observe(self._on_wait, "core_wait")

    def join(self, websocket: CellWebsocket, session_id: str) -> SessionCells:
        """Return the cells of a websocket's session. Called when it opens."""
        cells = self._named(session_id) if session_id else self._nameless()
        if cells.websockets:
            other = cells.websockets[-1]
            running = other.running and other.running.copy()
            if running and other.is_behind:
                running.outputs.give_up()
        else:
            running, cells.left = cells.left, None
        cells.websockets.append(websocket)
        if running is not None:
            websocket.take_over(running)
        return cells

    def leave(self, websocket: CellWebsocket, cells: SessionCells) -> None:
        """Called when it closes."""
        cells.websockets.remove(websocket)
        if not cells.websockets:
            cells.left = websocket.running
            self._hand_on(cells)
        closed = [each for each in self._sessions if not each.websockets]
        for each in [*closed[:-MAX_CLOSED], *filter(lambda each: each.is_over, closed)]:
            if each in self._sessions:
                self._sessions.remove(each)

    def _named(self, session_id: str) -> SessionCells:
        found = [each for each in self._sessions if each.session_id == session_id] or [SessionCells(session_id)]
        if found[0] not in self._sessions:
            self._sessions.append(found[0])
        return found[0]

    def _nameless(self) -> SessionCells:
        """Return what those without a session id have left whose websockets are closed."""
        cells = SessionCells("")
        for closed in [each for each in self._sessions if not (each.session_id or each.websockets)]:
            cells.sent.update(closed.sent)
            cells.left = closed.left or cells.left
            self._sessions.remove(closed)
        self._sessions.append(cells)
        return cells

    def _hand_on(self, cells: SessionCells) -> None:
        """Give the cells to a websocket without a session id that opened later: its client's, as it seems.

        It has written what the kernel said since; that of both together is not known.
        """
        later = self._sessions[self._sessions.index(cells) + 1 :]
        heirs = [each for each in later if each.websockets and not each.session_id]
        if cells.session_id or not heirs:
            return
        heirs[0].sent = cells.sent | heirs[0].sent
        running, cells.left = cells.left, None
        cells.sent = {}
        if running is not None:
            running.outputs.give_up()
            heirs[0].websockets[0].take_over(running)

    def _on_wait(self, change: Any) -> None:
        """Note that a cell ends for its wait though nobody hears it. Called when the kernel's `core_wait` changes."""
        wait, running = change["new"], change["owner"].running_cell
        for each in self._sessions if wait is not None and wait.is_over else ():
            if each.left is not None and each.left.cell.msg_id == running:
                each.left.error = wait.message


_cells: WeakKeyDictionary[GatewayKernel, KernelCells] = WeakKeyDictionary()


def cells_of(kernel: GatewayKernel) -> KernelCells:
    """Return the cells of a kernel; made when its first websocket opens."""
    if kernel not in _cells:
        _cells[kernel] = KernelCells(kernel)
    return _cells[kernel]
