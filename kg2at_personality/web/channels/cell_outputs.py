"""What a cell has shown so far, kept so that it can be shown once more after something was taken away."""

from __future__ import annotations

from typing import Any

from ...kernels.message import CONTENT, parsed

#: Most bytes that are kept of one cell.
LIMIT = 2**20
#: What a message takes beside its parts' bytes, about.
OVERHEAD = 500
#: What a front end shows as a new output, and what changes those that are there.
ADDING = ("stream", "display_data", "execute_result", "error")
UPDATE, CLEAR = "update_display_data", "clear_output"


class CellOutputs:
    """The messages of one cell's outputs, as a front end has them, up to `limit` bytes.

    `is_whole`: all of them are here. They are not when they are too large, or when the front end has a part in them: it
    shows what its user types in (JupyterLab: OutputArea.onInputRequest), and the widget Output takes outputs of the
    cell (ipywidgets: OutputModel).
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._size = 0
        self._messages: list[list[Any]] = []
        self._display_ids: set[str] = set()
        #: The kernel's own clear_output that waits for the cell's next output.
        self.clear: list[Any] | None = None
        self._has_others = self._is_cut = False

    @property
    def is_whole(self) -> bool:
        """Whether `messages` show all that the cell shows."""
        return not (self._has_others or self._is_cut)

    @property
    def is_empty(self) -> bool:
        """Whether the cell shows nothing."""
        return self.is_whole and not self._messages

    @property
    def messages(self) -> list[list[Any]]:
        """What has to be sent to a cell that is empty so that it shows the same, in order; then comes `clear`."""
        return list(self._messages)

    def add(self, kind: str, message: list[Any], parts: list[Any]) -> bool:
        """Keep a message of type `kind`, of which `parts` begin with its signature. Return whether it cleared the cell.

        No-op for an update of what this cell does not show.
        """
        if kind == CLEAR:
            return self._note_clear(message, parts)
        is_cleared = kind in ADDING and self.clear is not None
        if is_cleared:
            self._forget()
        if kind != UPDATE or self.displays(parts):
            self._keep(kind, message, parts)
        return is_cleared

    def displays(self, parts: list[Any]) -> bool:
        """Return whether a message has the display id of one of these outputs."""
        return bool(self._display_ids) and _display_id(parts) in self._display_ids

    def note_others(self) -> None:
        """Called when the cell speaks to a widget, which may take its outputs, or asks its user for a line."""
        self._has_others = True
        self._drop()

    def give_up(self) -> None:
        """Called when what the cell shows may be another thing than what was added."""
        self._is_cut = True
        self._drop()

    def _note_clear(self, message: list[Any], parts: list[Any]) -> bool:
        if parsed(parts[CONTENT]).get("wait"):
            self.clear = message
            return False
        self._forget()
        return True

    def _forget(self) -> None:
        """Begin anew: the cell is empty."""
        self._drop()
        self.clear, self._is_cut = None, False

    def _keep(self, kind: str, message: list[Any], parts: list[Any]) -> None:
        if not self.is_whole:
            return
        self._size += OVERHEAD + sum(map(len, message))
        if self._size > self._limit:
            self.give_up()
            return
        self._messages.append(message)
        if kind != "stream" and (display_id := _display_id(parts)):
            self._display_ids.add(display_id)

    def _drop(self) -> None:
        self._messages, self._display_ids, self._size = [], set(), 0


def _display_id(parts: list[Any]) -> str:
    """Return the display id of a message; "" when it has none."""
    if b'"display_id"' not in parts[CONTENT]:
        return ""
    transient = parsed(parts[CONTENT]).get("transient")
    return str(transient.get("display_id") or "") if isinstance(transient, dict) else ""
