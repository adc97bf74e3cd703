"""What a real Toree shows: every output can be saved, and none comes after the cell's idle status."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
import websocket

from tests.e2e.gateway import Channels, Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
#: Cells and what they show: types of messages, as they come in any order.
CELLS = [
    ("1 + 1", {"execute_result"}),
    ("val x = 1", {"display_data", "execute_result"}),
    ("()", set()),
    ("val nothing: String = null", None),
    ("null", None),
    ("val text: String = null; text", None),
    ('println("printed")', {"stream"}),
    ('println("printed"); 42', {"stream", "execute_result"}),
    ('print("")', None),
    ("println(null)", {"stream"}),
    ('System.err.println("to stderr")', None),
    ('Console.err.println("to stderr")', None),
    ("(1 to 200).foreach(println)", None),
    ('println("hällo ⏎ 🐍")', {"stream"}),
    ('"x" * 100000', {"execute_result"}),
    ("throw new Exception()", {"error"}),
    ("throw new RuntimeException(null: String)", {"error"}),
    ('throw new Exception("on purpose")', {"error"}),
    ("1 / 0", {"error"}),
    ("throw new Error()", {"error"}),
    ("(null: String).length", {"error"}),
    ('val wrong: Int = "text"', {"error"}),
    ("no such thing", {"error"}),
    ('kernel.display.html("<b>x</b>")', {"display_data"}),
    ('kernel.display.content("text/plain", null)', None),
    ('kernel.display.content("application/json", """{"a": [1, null]}""")', {"display_data"}),
    ('kernel.display.javascript("1")', {"display_data"}),
    ("kernel.display.html(null)", None),
    ("%lsmagic", None),
    ("%%html\n<i>x</i>", None),
    ("%nosuchmagic", None),
    ("class Thing(val n: Int); new Thing(1)", None),
    ("def f(n: Int) = n; f(1)", None),
    ("List(1, 2)", {"execute_result"}),
    ("%%sql\nselect 1 as a", None),
    ("spark.range(2)", None),
]


@pytest.fixture(scope="module")
def notebook(gateway: Gateway) -> Iterator[Channels]:
    kernel_id = gateway.start_kernel()
    channels = gateway.connect(kernel_id)
    yield channels
    channels.close()
    assert gateway.delete(kernel_id) == 204


def saved(message: dict[str, Any]) -> dict[str, Any]:
    """The output that a notebook makes of a message, with all of its content."""
    content = {name: value for name, value in message["content"].items() if name != "transient"}
    return content | {"output_type": message["msg_type"]}


def check(outputs: list[dict[str, Any]]) -> None:
    cell = {"cell_type": "code", "id": "a", "source": "", "metadata": {}, "execution_count": 1, "outputs": outputs}
    nbformat.validate({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def outputs_of(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in messages if message["msg_type"] not in ("execute_input", "status", "clear_output")]


@pytest.mark.parametrize(("code", "shows"), CELLS)
def test_every_output_can_be_saved(notebook: Channels, code: str, shows: set[str] | None) -> None:
    result = notebook.run(code)
    outputs = outputs_of(result.messages)
    check([saved(message) for message in outputs])
    if shows is not None:
        assert {message["msg_type"] for message in outputs} >= shows, result
    for output in outputs:
        if output["msg_type"] == "error":
            assert result.reply["status"] == "error" and result.reply["evalue"] == output["content"]["evalue"]


def names(notebook: Channels, cells: dict[str, int], quiet: float) -> list[tuple[int, str]]:
    """What the notebook gets of its cells, numbered, until all are idle and nothing has come for `quiet` seconds."""
    came: list[tuple[int, str]] = []
    idle: set[int] = set()
    limit = time.monotonic() + 120
    while True:
        left = quiet if len(idle) == len(cells) else limit - time.monotonic()
        try:
            message = notebook.receive(left)
        except (TimeoutError, websocket.WebSocketTimeoutException) as error:
            assert len(idle) == len(cells), f"{len(idle)} cells ended: {error!r}"
            return came
        number = cells.get(message["parent_header"].get("msg_id"))
        if number is not None:
            name = message["content"].get("execution_state", message["msg_type"])
            came.append((number, name))
            if name == "idle":
                idle.add(number)


def test_nothing_comes_after_idle_in_1000_cells(notebook: Channels) -> None:
    """In tens that are sent at once, as a notebook does that runs all its cells."""
    codes = ["1 + 1", 'println("a"); 42', 'kernel.display.html("<b>x</b>")', 'println("b")', "()"]
    came: list[tuple[int, str]] = []
    for ten in range(100):
        cells = {notebook.execute(codes[number % len(codes)]): 10 * ten + number for number in range(10)}
        came += names(notebook, cells, quiet=0.02)
    late, idle = [], set()
    for number, name in came:
        if name == "idle":
            idle.add(number)
        elif number in idle and name != "execute_reply":
            late.append((number, name))
    assert len(idle) == 1000 and late == []
    shown = [sum(name == kind for _, name in came) for kind in ("execute_result", "display_data")]
    assert shown[0] >= 400 and shown[1] >= 200
