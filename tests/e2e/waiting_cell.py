"""A cell that may wait for cores, as its notebook has it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.channels import Channels

#: Seconds within which a line is there: 3, and what this machine's load costs.
LINE = 3 + 12
#: Seconds that a job may take which has its cores, or a notebook that is started, on a busy machine.
SOON = 120


class Cell:
    """A cell of one notebook, and all that came to it, as its front end has it. It is sent when it is made."""

    def __init__(self, channels: Channels, code: str, silent: bool = False) -> None:
        content = {"code": code, "silent": silent, "store_history": not silent, "user_expressions": {}}
        self.id = channels.send("execute_request", content | {"allow_stdin": False, "stop_on_error": True})
        self.messages: list[dict[str, Any]] = []
        self.begun = time.monotonic()
        self.told_at: float | None = None

    def read(self, channels: Channels, until: Callable[[], object], limit: float = SOON) -> None:
        """Read the websocket until `until` holds; fails after `limit` seconds, and says what came."""
        end = time.monotonic() + limit
        while not until():
            try:
                message = channels.receive(max(0.0, end - time.monotonic()))
            except TimeoutError:
                pytest.fail(f"no more than {[(each['msg_type'], each['content']) for each in self.messages]}")
            if message["parent_header"].get("msg_id") == self.id:
                self.take(message)

    def take(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        if message["content"].get("execution_state") == "busy":
            self.begun = time.monotonic()
        elif self.told_at is None and self.line:
            self.told_at = time.monotonic()

    def finish(self, channels: Channels, limit: float = SOON) -> None:
        """Read the websocket until the cell has ended."""
        self.read(channels, lambda: self.has_ended, limit)

    @property
    def types(self) -> list[str]:
        return [message["msg_type"] for message in self.messages]

    @property
    def sessions(self) -> set[str]:
        """Who has sent what is published of it, by the headers: JupyterLab may drop a message when another speaks."""
        return {message["header"]["session"] for message in self.messages if message["channel"] == "iopub"}

    @property
    def line(self) -> str:
        """The line that it shows: the display that can be updated; "" for none."""
        return next((text for _, text, display_id in reversed(self._shown()) if display_id), "")

    @property
    def reply(self) -> dict[str, Any]:
        """Its reply; {} before it is there."""
        return next((each["content"] for each in self.messages if each["msg_type"] == "execute_reply"), {})

    @property
    def has_ended(self) -> bool:
        states = [message["content"].get("execution_state") for message in self.messages]
        return bool(self.reply) and "idle" in states

    @property
    def types_left(self) -> list[str]:
        """The type of each output that is left, as the notebook would be saved now."""
        return [kind for kind, _, _ in self._shown()]

    @property
    def text(self) -> str:
        """The text of all of them."""
        return "\n".join(text for _, text, _ in self._shown())

    def _shown(self) -> list[tuple[str, str, str]]:
        """Type, text and display id of each output."""
        shown: list[tuple[str, str, str]] = []
        clears_next = False
        for message in self.messages:
            kind, content = message["msg_type"], message["content"]
            display_id = content.get("transient", {}).get("display_id", "")
            if kind == "clear_output":
                clears_next = content["wait"]
                shown = shown if clears_next else []
            elif kind == "update_display_data":
                shown = [(*each[:1], _text(content), each[2]) if each[2] == display_id else each for each in shown]
            elif kind in ("display_data", "execute_result", "stream", "error"):
                shown = [] if clears_next else shown
                # A front end joins what a stream shows: a Toree writes whatever is there every 0.1 s, half a word too.
                joins = kind == "stream" and shown and shown[-1][0] == kind
                before = shown.pop()[1] if joins else ""
                shown.append((kind, before + _text(content), display_id))
                clears_next = False
        return shown


def _text(content: dict[str, Any]) -> str:
    return str(content.get("text") or content.get("evalue") or content.get("data", {}).get("text/plain", ""))
