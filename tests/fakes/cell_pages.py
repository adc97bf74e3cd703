"""A kernel that runs cells and may wait for cores, and the notebooks that read it through the gateway's websockets.

A page stays where it is when its websocket closes; what it saves is asked of front ends that know nothing of kg2at.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from jupyter_client.session import Session
from traitlets import HasTraits, Instance, Unicode

from kg2at_personality.kernels.core_wait import CoreWait
from kg2at_personality.state.record import WaitLine
from kg2at_personality.web.channels.cell_notice import CellNotice
from kg2at_personality.web.protocol.client_message import parse
from tests.fakes.front_end import Lab, NbClient
from tests.fakes.messages import SESSION, request, v1


class Kernel(HasTraits):
    """What a websocket knows of a kernel; `written` are the lines that its record was written with, one by one."""

    execution_state = Unicode("idle")
    core_wait = Instance(CoreWait, allow_none=True)
    core_note = Unicode("")

    def __init__(self, wait_line: WaitLine | None = None) -> None:
        super().__init__()
        self.admission: Any = object()
        self.wait_line, self.recorder = wait_line, self
        self.written: list[WaitLine | None] = []
        self.running_cell = str(wait_line.cell["msg_id"]) if wait_line else ""
        self.header_session = SESSION.session

    def write_wait_line(self, line: WaitLine | None) -> None:
        if self.wait_line != line:
            self.wait_line = line
            self.written.append(line)


class Notebook:
    """One websocket's end: all that was written, as the client reads it."""

    def __init__(self) -> None:
        self.session, self.frames = Session(key=b"key"), self
        self._is_ready, self._calls = True, list[Callable[[], None]]()
        self.read: list[dict[str, Any]] = []
        self.front_ends: list[Any] = []

    @property
    def is_ready(self) -> bool:
        return self._is_ready

    @is_ready.setter
    def is_ready(self, is_ready: bool) -> None:
        self._is_ready = is_ready
        while self._is_ready and self._calls:
            self._calls.pop()()

    def when_ready(self, call: Callable[[], None]) -> None:
        self._calls.append(call)

    def write(self, channel: str, message: list[Any]) -> None:
        read = self.session.deserialize(self.session.feed_identities(message)[1])
        self.read.append(read)
        for each in self.front_ends:
            each.take(copy.deepcopy(read))

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def kinds(self) -> list[str]:
        """The types of what was written since the last call, and the states."""
        kinds = [each["content"].get("execution_state", each["header"]["msg_type"]) for each in self.read]
        self.read.clear()
        return kinds


class Websocket:
    """An open websocket to the kernel."""

    def __init__(self, kernel: Kernel, session_id: str, front_ends: list[Any], limit: int, is_behind: bool) -> None:
        self.notebook, self.is_behind = Notebook(), is_behind
        self.notebook.front_ends = front_ends
        self.notice = CellNotice(kernel, self.notebook, session_id, limit)  # type: ignore[arg-type]
        self.notice.open(lambda: self.is_behind)

    def send(self, *cells: str, **content: Any) -> None:
        for cell in cells:
            raw = v1(request("execute_request", {"code": cell} | content, msg_id=cell))
            self.notice.note_sent(parse(raw, True))


class Pages:
    """The kernel, the open websockets, and what it would all be without waits (`plain`)."""

    def __init__(self, *cells: str, limit: int = 2**20) -> None:
        self.kernel, self.limit = Kernel(), limit
        self.websockets: list[Websocket] = []
        #: What the kernel says while no websocket is open.
        self.kept: list[list[Any]] = []
        self.lab, self.nbclient = Lab(*cells), NbClient(*cells)
        self.session = Session(key=b"key")
        self.plain = [Lab(*cells), NbClient(*cells)]

    def open(self, session_id: str = "s1", is_read: bool = True, is_behind: bool = False) -> Websocket:
        """Open a websocket; `is_read`: it is the page's. One with a session id gets what it has missed."""
        front_ends = [self.lab, self.nbclient] if is_read else []
        websocket = Websocket(self.kernel, session_id, front_ends, self.limit, is_behind)
        self.websockets.append(websocket)
        kept, self.kept = self.kept, []
        for message in kept if session_id else ():
            self.deliver(message)
        return websocket

    def close(self, websocket: Websocket) -> None:
        websocket.notice.close()
        self.websockets.remove(websocket)

    def kill(self) -> None:
        """End the gateway as kill -9 would; the next one knows what stands in the record."""
        old = self.kernel
        line = old.wait_line
        self.kernel = Kernel(line)
        self.kernel.running_cell = old.running_cell if line else ""
        self.websockets.clear()
        self.kept.clear()

    def message(self, cell: str, msg_type: str, content: dict[str, Any]) -> list[Any]:
        """A message of the kernel's."""
        parent = {"msg_id": cell, "msg_type": "execute_request", "session": "s1"}
        return list(SESSION.serialize(SESSION.msg(msg_type, content, parent=parent), ident=b"topic"))

    def says(self, cell: str, msg_type: str, **content: Any) -> None:
        """Have the kernel say something of a cell to all websockets."""
        self.note(cell, content)
        self.deliver(self.message(cell, msg_type, content))

    def note(self, cell: str, content: dict[str, Any]) -> None:
        """What the gateway hears itself of the kernel's state."""
        state = content.get("execution_state")
        if state == "busy":
            self.kernel.core_wait = None  # that of the last cell has ended with it (CoreWatch)
        if state:
            self.kernel.running_cell = cell if state == "busy" else ""

    def deliver(self, message: list[Any]) -> None:
        header = SESSION.unpack(message[message.index(b"<IDS|MSG>") + 2])
        kind = header["msg_type"].rpartition("_")[2]
        channel = {"reply": "shell", "request": "stdin"}.get(kind, "iopub")
        if not self.websockets:
            self.kept.append(message)
            return
        read = self.session.deserialize(self.session.feed_identities(message)[1])
        for websocket in self.websockets:
            websocket.notice.write(channel, message)
            if websocket.notebook.front_ends:
                for each in self.plain:
                    each.take(copy.deepcopy(read))

    def wait(self, text: str, is_over: bool = False) -> None:
        self.kernel.core_wait = CoreWait(text, is_over) if text else None

    def begin(self, cell: str) -> None:
        self.says(cell, "status", execution_state="busy")

    def prints(self, cell: str, text: str) -> None:
        self.says(cell, "stream", name="stdout", text=text)

    def ends(self, cell: str, status: str = "ok") -> None:
        self.says(cell, "execute_reply", status=status)
        self.says(cell, "status", execution_state="idle")

    def saved(self, cell: str) -> list[list[dict[str, Any]]]:
        """What JupyterLab and nbclient save."""
        return [each.saved(cell) for each in (self.lab, self.nbclient)]

    def plainly_saved(self, cell: str) -> list[list[dict[str, Any]]]:
        """What they would save if nothing had waited."""
        return [each.saved(cell) for each in self.plain]

    def texts(self, cell: str) -> list[str]:
        """What JupyterLab shows below a cell."""
        shown = self.lab.saved(cell)
        return [str(each.get("text") or each.get("evalue") or each.get("data", {}).get("text/plain")) for each in shown]
