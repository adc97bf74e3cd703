"""What a real Toree shows: every output can be saved, and none comes after the cell's idle status."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest

from tests.fakes.channels import Channels
from tests.fakes.gateway_process import Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
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
    """Return the output that a notebook makes of a message, with all of its content."""
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


#: Cells one after the other, and in tens; KG2AT_TEST_CELLS=500 takes its time.
COUNT = int(os.environ.get("KG2AT_TEST_CELLS", "200"))
CODES = ["1 + 1", 'println("a"); 42', 'kernel.display.html("<b>x</b>")', 'println("b")', "()"]


def late(notebook: Channels, cells: dict[str, str]) -> list[tuple[str, str]]:
    """Return what comes of `cells` (message id -> code) after their idle status, until that of all has come.

    Each is a pair of code and type; a result that never came is one too.
    """
    found, shown = [], []
    idle: set[str] = set()
    limit = time.monotonic() + 120
    while len(idle) < len(cells):
        message = notebook.receive(limit - time.monotonic())
        msg_id, name = message["parent_header"].get("msg_id"), message["msg_type"]
        if message["content"].get("execution_state") == "idle" and msg_id in cells:
            idle.add(msg_id)
        elif msg_id in idle and message["channel"] == "iopub":
            found.append((cells.get(msg_id, "an earlier one"), name))
        shown += [name] if msg_id in cells else []
    results = sum(code in CODES[:2] for code in cells.values())
    return found + [("", "a result is missing")] * (results - shown.count("execute_result"))


@pytest.mark.parametrize("at_once", [1, 10])
def test_nothing_comes_after_idle(notebook: Channels, at_once: int) -> None:
    """One after the other, and in tens, as a notebook sends them that runs all its cells."""
    for first in range(0, COUNT, at_once):
        codes = [CODES[number % len(CODES)] for number in range(first, first + at_once)]
        assert late(notebook, {notebook.execute(code): code for code in codes}) == []
