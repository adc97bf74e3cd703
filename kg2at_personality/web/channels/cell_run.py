"""A cell that a notebook has sent, and what is known of it while it runs."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field, replace
from typing import Any

from ...state.record import WaitLine
from .cell_outputs import CellOutputs

#: What a cell's wait for cores ends with when it has lasted too long.
ERROR_NAME = "SparkWaitTimeout"


@dataclass
class Cell:
    """An execute_request's header. `note` is what its notebook is told once, below it; "": nothing."""

    header: dict[str, Any]
    note: str = ""

    @property
    def msg_id(self) -> str:
        """The id that stands in the parent header of each answer."""
        return str(self.header["msg_id"])


@dataclass
class CellRun:
    """A cell that runs, as one websocket has seen it.

    `line` is the text that stands below it in the display `display_id`, None when there is none; `was_shown`: there was
    one. `is_left_empty`: it could not be removed but by an empty text, so that its display is there still. `error` is
    what the cell ends with, "" for the kernel's own end; `has_failed`: it has been shown. `has_reply`: its reply came.
    `is_adopted`: an earlier gateway sent it, so that the kernel's reply goes to a socket that is gone.
    """

    cell: Cell
    outputs: CellOutputs = field(default_factory=CellOutputs)
    display_id: str = ""
    line: str | None = None
    was_shown: bool = False
    is_left_empty: bool = False
    error: str = ""
    has_failed: bool = False
    has_reply: bool = False
    is_adopted: bool = False

    def __post_init__(self) -> None:
        #: How its id stands in JSON.
        self.key = json.dumps(self.cell.msg_id).encode()
        self.display_id = self.display_id or f"kg2at-{self.cell.msg_id}"

    @classmethod
    def of(cls, line: WaitLine) -> CellRun:
        """Return the one that an earlier gateway has shown `line` below."""
        running = cls(Cell(line.cell), display_id=line.display_id, line="", was_shown=True, is_adopted=True)
        if not line.is_alone:
            running.outputs.give_up()
        return running

    @property
    def has_display(self) -> bool:
        """Whether its line's display is there, with a text or without."""
        return self.line is not None or self.is_left_empty

    @property
    def error_content(self) -> dict[str, Any]:
        """The content of its error."""
        return {"ename": ERROR_NAME, "evalue": self.error, "traceback": [f"{ERROR_NAME}: {self.error}"]}

    @property
    def reply_content(self) -> dict[str, Any]:
        """The content of a reply that ends it with its error."""
        return {"status": "error"} | self.error_content

    def copy(self) -> CellRun:
        """Return it for another websocket."""
        return replace(self, outputs=copy.deepcopy(self.outputs))
