"""What a master's page says of an application's executors: recorded pages of Spark 3.5.9, and what is no such page."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kg2at_personality.spark.application_page import Executor, executors

PAGES = Path(__file__).parent / "pages"
EXITED, KILLED = ((PAGES / f"{name}.html").read_text() for name in ("exited", "killed"))
APP, WORKER = "app-20261126050832-0000", "worker-20261126050828-127.0.0.1-41431"
#: `ApplicationPage.executorRow` of Spark 2.4.8.
ROW_24 = """<tr>
      <td>{id}</td>
      <td>
        <a href="{ui}">{worker}</a>
      </td>
      <td>1</td>
      <td>512</td>
      <td>{state}</td>
      <td>
        <a href="{ui}/logPage?appId={app}&amp;executorId={id}&amp;logType=stdout">stdout</a>
        <a href="{ui}/logPage?appId={app}&amp;executorId={id}&amp;logType=stderr">stderr</a>
      </td>
    </tr>"""


def row(**changed: object) -> str:
    """A row of Spark 2.4."""
    told = {"id": 7, "ui": "http://h:8081", "worker": WORKER, "state": "EXITED", "app": APP}
    return ROW_24.format(**(told | changed))


def test_executors_that_end_again_and_again() -> None:
    found = {executor.id: executor for executor in executors(EXITED, APP)}
    assert {number: executor.state for number, executor in found.items()} == {
        **dict.fromkeys((51, 94, 121, 349), "EXITED"),
        396: "LAUNCHING",
    }
    assert found[349] == Executor(349, "EXITED", WORKER, is_proxied=False)


def test_executors_that_dynamic_allocation_ended() -> None:
    found = executors(KILLED, "app-20261126050005-0000")
    assert sorted((executor.id, executor.state) for executor in found) == [
        *((0, "KILLED"), (1, "KILLED")),
        *((2, "RUNNING"), (3, "RUNNING")),
    ]


def test_an_older_spark_has_fewer_columns() -> None:
    assert executors(f"<table>{row()}</table>", APP) == [Executor(7, "EXITED", WORKER, is_proxied=False)]


@pytest.mark.parametrize("ui", [f"/proxy/{WORKER}", f"https://front/spark/proxy/{WORKER}"])
def test_behind_the_masters_proxy(ui: str) -> None:
    """`UIUtils.makeHref` with spark.ui.reverseProxy, and with spark.ui.reverseProxyUrl."""
    assert executors(row(ui=ui), APP) == [Executor(7, "EXITED", WORKER, is_proxied=True)]


@pytest.mark.parametrize(
    "page",
    [
        "",
        "<div>No running application with ID app-1</div>",
        row(app="app-1"),
        row(id="seven"),
        row(id="²"),
        row(id=10**10),
        row(state="Exited"),
        row(ui="http://[::1"),
        row(ui="x" * 5000),
        row(ui="h?" + "&".join("a" * 20)),
        row().replace("<td>", "<th>"),
        "<td>7</td><td>EXITED</td>?logType=stderr</tr>",
        row().replace("</tr>", ""),
    ],
)
def test_what_is_no_row_is_left_out(page: str) -> None:
    assert [executor.id for executor in executors(page + row(id=8), APP)] == [8]


@pytest.mark.parametrize("piece", ["<a ", "<!--", "<a a='", "&#x", "</", "<td>", "<![", "<?", "<a b=c>", "<script>"])
def test_half_a_megabyte_of_anything_is_read_quickly(piece: str) -> None:
    one = "<tr>" + piece * (3900 // len(piece)) + "logType=stderr</tr>"
    began = time.process_time()
    assert executors(one * (512 * 1024 // len(one)), APP) == []
    assert executors(piece * (512 * 1024 // len(piece)), APP) == []
    assert time.process_time() - began < 5
