"""The cores of Python notebooks, on a real master with one worker of 4: in line, granted, told of, given back.

The tests build on each other's kernels, in this order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.spark.standalone import StandaloneCluster
from tests.e2e.python_notebook import ANSWER, JOB, NAME, PythonNotebook
from tests.e2e.waiting_cell import LINE, Cell
from tests.fakes.gateway_process import Answer, Gateway, defaults_on
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
#: Seconds that a client waits for its answer, and a cell for its cores.
IMPATIENT, JOB_WAIT = {"KERNEL_LAUNCH_TIMEOUT": "5"}, 20
TWO_CORES = {"KERNEL_SPARK_CORES_MAX": "2"}


@pytest.fixture(scope="module")
def gateway(cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = {"core_wait_timeout": 60, "core_poll_interval": 0.3, "max_cores_per_kernel": 5}
    settings["job_wait_timeout"] = JOB_WAIT
    options = [f"--KG2ATPersonality.{name}={value}" for name, value in settings.items()]
    directory: Path = tmp_path_factory.mktemp("gateway")
    with Gateway(directory, *options, defaults=defaults_on(cluster, "spark.ui.enabled false")) as running:
        yield running
    assert list(running.runtime.glob("kernel-*")) == []


def post(gateway: Gateway, **env: str) -> Answer:
    return gateway.request("POST", "/api/kernels", {"name": NAME, "env": env})


def queue(gateway: Gateway) -> list[dict[str, Any]]:
    return list(gateway.request("GET", "/kg2at/status").body["queue"])


def test_as_many_are_admitted_as_there_are_cores_and_a_click_lets_the_next_in(gateway: Gateway) -> None:
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: post(gateway, **IMPATIENT), range(12)))
        admitted = [answer.body["id"] for answer in answers if answer.status == 201]
        refused = [answer for answer in answers if answer.status != 201]
        assert len(admitted) == 4 and {answer.status for answer in refused} == {503}
        assert {answer.body["reason"] for answer in refused} == {"Cluster is busy"}
        waiting = threads.submit(post, gateway)
        wait_until(lambda: queue(gateway), "its place in the queue")
        assert gateway.delete(admitted.pop()) == 204
        admitted.append(waiting.result().body["id"])
        assert list(threads.map(gateway.delete, admitted)) == [204] * 4


@pytest.mark.parametrize(
    ("cores", "reason"), [("99", "Request out of bounds"), ("5", "The cluster is too small"), ("no", "Bad request")]
)
def test_what_can_never_be_granted_is_refused_at_once(gateway: Gateway, cores: str, reason: str) -> None:
    answer = post(gateway, KERNEL_SPARK_CORES_MAX=cores)
    assert (answer.status, answer.body["reason"]) == (400, reason), answer


@pytest.fixture(scope="module")
def three(gateway: Gateway, cluster: StandaloneCluster) -> list[PythonNotebook]:
    """Start three notebooks of two cores each; the first has given its own to the third."""
    made = [PythonNotebook(gateway, cluster, env=TWO_CORES | {"KERNEL_USERNAME": name}) for name in ("ann", "ben")]
    for each in made:
        assert ANSWER in each.text(f"kept = {JOB}\nprint(kept)")
    made[0].text("spark.stop()")
    made.append(PythonNotebook(gateway, cluster, env=TWO_CORES | {"KERNEL_USERNAME": "eve"}))
    assert ANSWER in made[2].text(JOB)
    return made


def test_who_waits_is_told_below_the_cell_until_it_has_waited_too_long(
    gateway: Gateway, three: list[PythonNotebook]
) -> None:
    first = three[0]
    cell = Cell(first.channels, JOB)
    cell.read(first.channels, lambda: cell.told_at)
    assert cell.told_at is not None and cell.told_at - cell.begun < LINE
    assert "2 cores" in cell.line and "0 of 4 are free" in cell.line and "eve" in cell.line, cell.line
    assert [row["kernel_id"] for row in queue(gateway)] == [first.kernel_id]
    assert "waiting for 2 cores" in first.status()["state"]
    cell.finish(first.channels)
    assert (cell.reply["status"], cell.reply["ename"]) == ("error", "SparkWaitTimeout")
    assert not cell.line and cell.types_left[-1] == "error", cell.text
    assert len(cell.sessions) == 1, "the gateway speaks as the kernel"
    assert first.text("print(kept)") == ANSWER


def test_an_interrupt_ends_the_wait(gateway: Gateway, three: list[PythonNotebook]) -> None:
    first = three[0]
    cell = Cell(first.channels, JOB)
    cell.read(first.channels, lambda: cell.told_at)
    began = time.monotonic()
    first.interrupt()
    cell.finish(first.channels)
    assert (cell.reply["status"], cell.reply["ename"]) == ("error", "KeyboardInterrupt")
    assert time.monotonic() - began < JOB_WAIT and not cell.line
    assert first.text("print(kept)") == ANSWER


def test_cores_that_come_free_are_its_own(gateway: Gateway, three: list[PythonNotebook]) -> None:
    first, third = three[0], three.pop()
    cell = Cell(first.channels, f"print({JOB})")
    cell.read(first.channels, lambda: cell.told_at)
    third.delete()
    cell.finish(first.channels)
    assert cell.reply["status"] == "ok" and cell.text.strip() == ANSWER and "clear_output" in cell.types


def test_a_kernel_that_waits_at_the_master_is_ended_by_one_click(
    gateway: Gateway, cluster: StandaloneCluster, three: list[PythonNotebook]
) -> None:
    first = three[0]
    first.text("spark.stop()")
    taker = PythonNotebook(gateway, cluster, env=TWO_CORES)
    assert ANSWER in taker.text(JOB)
    cell = Cell(first.channels, JOB)
    cell.read(first.channels, lambda: cell.told_at)
    three.remove(first)
    first.delete()
    taker.delete()


def test_a_master_that_is_away_is_told_and_an_interrupt_ends_the_wait(
    gateway: Gateway, cluster: StandaloneCluster, three: list[PythonNotebook]
) -> None:
    """While the context is being made; so is a click."""
    [second] = three
    other = PythonNotebook(gateway, cluster)
    second.text("spark.stop()")
    cluster.kill_master()
    try:
        cell = Cell(second.channels, JOB)
        cell.read(second.channels, lambda: cluster.ui_url in cell.line)
        assert second.report().is_starting
        for _ in range(2):
            second.interrupt()
        began = time.monotonic()
        cell.finish(second.channels)
        assert (cell.reply["status"], cell.reply["ename"]) == ("error", "KeyboardInterrupt")
        assert time.monotonic() - began < JOB_WAIT
        assert second.text("print(kept)") == ANSWER
        other.channels.execute(JOB)
        other.reports(lambda report: report.is_starting)
        assert gateway.delete(other.kernel_id) == 204 and other.files() == []
    finally:
        cluster.start_master()
    assert ANSWER in second.text(JOB)
    second.delete()
