"""What the gateway puts under a notebook's cell beside the kernel's own output, as a kernel would."""

from __future__ import annotations

from typing import Any

from jupyter_client.session import Session

from ...kernels.message import Speaker, repeated, spoken

Header = dict[str, Any]


class GatewayOutputs:
    """Makes ZeroMQ messages of the iopub channel, signed as `kernel`'s. `cell` is an execute_request's header."""

    def __init__(self, kernel: Speaker, session: Session) -> None:
        self._kernel, self._session = kernel, session

    def display(self, cell: Header, text: str, display_id: str = "") -> list[Any]:
        """Return a display of plain text; one with a `display_id` can be updated."""
        return self._message(cell, "display_data", _display(text, display_id))

    def update(self, cell: Header, text: str, display_id: str) -> list[Any]:
        """Return what shows `text` in the place of what was displayed as `display_id`."""
        return self._message(cell, "update_display_data", _display(text, display_id))

    def clear(self, cell: Header, wait: bool) -> list[Any]:
        """Return what removes all that the cell shows; with `wait`, when its next output comes."""
        return self._message(cell, "clear_output", {"wait": wait})

    def error(self, cell: Header, content: dict[str, Any]) -> list[Any]:
        """Return an error with `ename`, `evalue` and `traceback`."""
        return self._message(cell, "error", content)

    def stderr(self, cell: Header, text: str) -> list[Any]:
        """Return text on standard error."""
        return self._message(cell, "stream", {"name": "stderr", "text": text})

    def again(self, message: list[Any]) -> list[Any]:
        """Return a message of the kernel's for its second sending."""
        return repeated(self._session, message)

    def reply(self, cell: Header, content: dict[str, Any]) -> list[Any]:
        """Return the cell's execute_reply, which belongs on the shell channel."""
        return self._message(cell, "execute_reply", {"execution_count": 0} | content)

    def _message(self, cell: Header, msg_type: str, content: dict[str, Any]) -> list[Any]:
        return spoken(self._kernel, self._session, msg_type, content, cell)


def _display(text: str, display_id: str) -> dict[str, Any]:
    transient = {"display_id": display_id} if display_id else {}
    return {"data": {"text/plain": text}, "metadata": {}, "transient": transient}
