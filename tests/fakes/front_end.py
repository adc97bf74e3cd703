"""What front ends make of a cell's messages: JupyterLab, and the real nbclient. Each yields what would be saved."""

from __future__ import annotations

from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbformat.v4 import new_code_cell, new_notebook, output_from_msg

Message = dict[str, Any]


class Cell:
    """One cell's output area, as JupyterLab 4 has it (outputarea: OutputArea._onIOPub, OutputAreaModel)."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, Any]] = []
        self.displays: dict[str, list[int]] = {}
        self.clear_next = self.is_idle = self.is_replied = False

    def take(self, message: Message, kind: str) -> None:
        display_id = (message["content"].get("transient") or {}).get("display_id")
        if kind in ("execute_result", "display_data", "stream", "error"):
            self._add(dict(output_from_msg(message)))
            if display_id and kind == "display_data":
                self.displays.setdefault(display_id, []).append(len(self.outputs) - 1)
        elif kind == "clear_output":
            self._clear(message["content"].get("wait", False))
        elif kind == "update_display_data":
            content = message["content"]
            for index in self.displays.get(display_id, []):
                new = {"output_type": "display_data", "data": content["data"], "metadata": content["metadata"]}
                self.outputs[index] = new

    def _add(self, output: dict[str, Any]) -> None:
        if self.clear_next:
            self._clear(wait=False)
            self.clear_next = False
        last = self.outputs[-1] if self.outputs else {}
        if output["output_type"] == "stream" and last.get("output_type") == "stream" and last["name"] == output["name"]:
            self.outputs[-1] = last | {"text": last["text"] + output["text"]}
        else:
            self.outputs.append(output)

    def _clear(self, wait: bool) -> None:
        if wait:
            self.clear_next = True
        else:
            self.outputs, self.displays = [], {}


class Lab:
    """A JupyterLab with one cell for each id (services: KernelConnection._handleMessage, _handleDisplayId)."""

    def __init__(self, *cells: str) -> None:
        self.cells = {msg_id: Cell() for msg_id in cells}
        self.parents: dict[str, list[str]] = {}

    def take(self, message: Message) -> None:
        """Handle a message from the websocket. One whose cell has ended goes nowhere."""
        cell, kind = self.cells.get(message["parent_header"].get("msg_id", "")), message["header"]["msg_type"]
        display_id = (message["content"].get("transient") or {}).get("display_id")
        if display_id and kind in ("display_data", "update_display_data", "execute_result"):
            for parent in self.parents.get(display_id, []):
                self.cells[parent].take(message, "update_display_data")
            if kind == "update_display_data":
                return
            known = self.parents.setdefault(display_id, [])
            if message["parent_header"]["msg_id"] not in known:
                known.append(message["parent_header"]["msg_id"])
        if cell is None or (cell.is_idle and cell.is_replied):
            return
        cell.is_replied = cell.is_replied or kind == "execute_reply"
        cell.is_idle = cell.is_idle or message["content"].get("execution_state") == "idle"
        cell.take(message, kind)

    def saved(self, msg_id: str) -> list[dict[str, Any]]:
        """What it saves as the outputs of a cell."""
        return self.cells[msg_id].outputs


class NbClient:
    """The real nbclient, with one cell for each id. It takes a cell's messages up to its idle status."""

    def __init__(self, *cells: str) -> None:
        self.notebook = new_notebook(cells=[new_code_cell() for _ in cells])
        self.client = NotebookClient(self.notebook, record_timing=False)
        self.client.reset_execution_trackers()
        self.client.clear_before_next_output = False
        self.indices = {msg_id: index for index, msg_id in enumerate(cells)}
        self.idle: set[str] = set()

    def take(self, message: Message) -> None:
        """Handle a message as its loop does (NotebookClient._async_poll_output_msg)."""
        msg_id = message["parent_header"].get("msg_id", "")
        if msg_id not in self.indices or msg_id in self.idle or message["header"]["msg_type"].endswith("_reply"):
            return
        index = self.indices[msg_id]
        try:
            self.client.process_message(message, self.notebook.cells[index], index)
        except CellExecutionComplete:
            self.idle.add(msg_id)
            self.client.clear_before_next_output = False

    def saved(self, msg_id: str) -> list[dict[str, Any]]:
        """What it saves as the outputs of a cell; a stream's pieces as one, as others save them."""
        outputs = nbformat.from_dict(self.notebook.cells[self.indices[msg_id]].outputs)
        return merged([dict(each) for each in outputs])


def merged(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return outputs with each stream's pieces that follow each other as one."""
    cell = Cell()
    for output in outputs:
        cell._add(output)
    return cell.outputs
