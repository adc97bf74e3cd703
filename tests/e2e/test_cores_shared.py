"""Cores shared well, on a real master with one worker of 4 cores: idle notebooks give theirs back, and whoever waits is
told below its cell. The tests of a class build on each other's kernels, in this order.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.spark.installation import Installation
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.e2e.pyspark_driver import driver
from tests.e2e.waiting_cell import LINE, SOON, Cell
from tests.fakes.channels import Channels
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
#: Notebooks that share the 4 cores; KG2AT_TEST_NOTEBOOKS=12 takes its time, and 600 MB for each.
NOTEBOOKS = int(os.environ.get("KG2AT_TEST_NOTEBOOKS", "6"))
#: Jobs of each of them.
ROUNDS = 2
#: Seconds of the settings under test.
IDLE, JOB_WAIT = 3, 20
TWO_CORES = {"KERNEL_SPARK_CORES_MAX": "2"}
#: Seconds that an impatient client waits for its answer.
IMPATIENT = {"KERNEL_LAUNCH_TIMEOUT": "5"}
JOB = "sc.parallelize(1 to 100, 2).sum()"


@pytest.fixture(scope="class")
def gateway(
    request: pytest.FixtureRequest, cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Run a gateway with the options of the test class, and one that may be killed."""
    options = ("--KG2ATPersonality.core_wait_timeout=60", "--KG2ATPersonality.core_poll_interval=0.3")
    directory: Path = tmp_path_factory.mktemp("gateway")
    defaults = defaults_on(cluster, "spark.ui.enabled false")
    with Gateway(directory, *options, *request.cls.OPTIONS, defaults=defaults) as running:
        yield running
    wait_until(lambda: cluster.state()["activeapps"] == [], cluster.state)


def start(gateway: Gateway, env: dict[str, str] | None = None, **body: Any) -> tuple[str, Channels]:
    """Start a notebook: its kernel and a websocket."""
    kernel_id = gateway.start_kernel(env=env or {}, **body)
    return kernel_id, gateway.connect(kernel_id)


def status(gateway: Gateway, kernel_id: str) -> dict[str, Any]:
    rows = gateway.request("GET", "/kg2at/status").body["kernels"]
    return dict(next(row for row in rows if row["kernel_id"] == kernel_id))


def queue(gateway: Gateway) -> list[dict[str, Any]]:
    """Those who wait, an application at the master or a kernel that is not admitted."""
    return list(gateway.request("GET", "/kg2at/status").body["queue"])


def granted(cluster: StandaloneCluster, kernel_id: str) -> int:
    """The cores that the kernel's applications have at the master."""
    return sum(app["cores"] for app in cluster.state()["activeapps"] if kernel_id in app["name"])


def interrupt(gateway: Gateway, kernel_id: str) -> None:
    assert gateway.request("POST", f"/api/kernels/{kernel_id}/interrupt", {}).status == 204


def run(channels: Channels, code: str, limit: float = SOON) -> Cell:
    """Run a cell to its end."""
    cell = Cell(channels, code)
    cell.finish(channels, limit)
    return cell


@pytest.fixture(scope="class")
def two(gateway: Gateway) -> list[str]:
    """Start two notebooks, which have all cores."""
    started = [start(gateway, TWO_CORES | {"KERNEL_USERNAME": name}) for name in ("ann", "ben")]
    for _, channels in started:
        assert "5050.0" in run(channels, f"val kept = {JOB}; println(kept)").text
        channels.close()
    return [kernel_id for kernel_id, _ in started]


@pytest.fixture(scope="class")
def hogged(
    gateway: Gateway,
    two: list[str],
    cluster: StandaloneCluster,
    installation: Installation,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Have an application that is no notebook take two cores, which the second notebook gave back."""
    channels = gateway.connect(two[1])
    run(channels, "sc.stop()")
    channels.close()
    directory = tmp_path_factory.mktemp("driver")
    with driver(installation, cluster.master_url, "foreign", directory, "spark.cores.max=2"):
        wait_until(lambda: [app["cores"] for app in cluster.state()["activeapps"]] == [2, 2], cluster.state)
        yield


class TestWaiting:
    """Applications that wait at the master, and what keeps them."""

    PROFILES = json.dumps({"broken": {"spark.executor.extraJavaOptions": "-javaagent:/no/such.jar"}})
    OPTIONS = ("--KG2ATPersonality.idle_cores_timeout=0", f"--KG2ATPersonality.profiles={PROFILES}")

    def test_who_gave_its_cores_away_is_told_below_its_cell(self, gateway: Gateway, two: list[str]) -> None:
        first, channels = two[0], gateway.connect(two[0])
        run(channels, "sc.stop()")
        third, of_third = start(gateway, TWO_CORES | {"KERNEL_USERNAME": "eve"})
        run(of_third, JOB)
        other = gateway.connect(first)

        cell = Cell(channels, JOB)
        cell.read(channels, lambda: cell.told_at, limit=SOON)
        assert cell.told_at is not None and cell.told_at - cell.begun < LINE
        assert "2 cores" in cell.line and "0 of 4 are free" in cell.line and "eve" in cell.line, cell.line
        assert "first in line" in cell.line
        cell.read(channels, lambda: "update_display_data" in cell.types)
        self.check_line(gateway, first)

        assert gateway.delete(third) == 204
        cell.finish(channels)
        assert cell.reply["status"] == "ok" and "clear_output" in cell.types
        assert "5050.0" in cell.text and "free" not in cell.text, cell.text
        assert not cell.line, "it is not saved"
        assert len(cell.sessions) == 1, "the gateway speaks as the kernel"
        self.check_other(other, cell)

    def check_line(self, gateway: Gateway, first: str) -> None:
        """It stands in line before whoever comes now."""
        row = wait_until(lambda: queue(gateway), "its place in the queue")[0]
        assert (row["kernel_id"], row["cores"], row["position"]) == (first, 2, 1)
        assert row["app_id"].startswith("app-") and row["waited_s"] > 0
        assert "waiting for 2 cores" in status(gateway, first)["state"]
        answer = gateway.request("POST", "/api/kernels", {"env": IMPATIENT})
        assert answer.status == 503 and "1 notebook is ahead of you" in answer.body["message"], answer

    def check_other(self, other: Channels, cell: Cell) -> None:
        """Another notebook of the kernel has seen the cell, and never its line: what Toree shows has no display id."""
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["content"].get("execution_state") != "idle":
            message = other.receive(SOON)
            seen += [message] if message["parent_header"].get("msg_id") == cell.id else []
        assert not {"update_display_data", "clear_output"} & {each["msg_type"] for each in seen}
        assert not [each for each in seen if each["content"].get("transient", {}).get("display_id")]
        other.close()

    @pytest.mark.usefixtures("hogged")
    def test_a_silent_cell_has_no_line_and_an_interrupt_ends_its_wait(self, gateway: Gateway, two: list[str]) -> None:
        second, channels = two[1], gateway.connect(two[1])
        cell = Cell(channels, JOB, silent=True)
        wait_until(lambda: [row for row in queue(gateway) if row["waited_s"] > 3], lambda: queue(gateway))
        began = time.monotonic()
        interrupt(gateway, second)
        cell.finish(channels)
        assert cell.reply["status"] == "error" and time.monotonic() - began < 45
        assert cell.told_at is None
        assert [row["kernel_id"] for row in queue(gateway)] == [second], "its application keeps its place"

    @pytest.mark.usefixtures("hogged")
    def test_the_next_gateway_tells_it_again_and_ends_the_wait_in_time(self, gateway: Gateway, two: list[str]) -> None:
        """kill -9; the next gateway has a job_wait_timeout."""
        channels = gateway.connect(two[1])
        cell = Cell(channels, JOB)
        cell.read(channels, lambda: cell.told_at)
        assert "other applications" in cell.line
        gateway.kill()
        gateway.argv.append(f"--KG2ATPersonality.job_wait_timeout={JOB_WAIT}")
        gateway.start()
        channels, before = gateway.connect(two[1], channels.session), len(cell.messages)
        shows = {"display_data", "update_display_data"}
        cell.read(channels, lambda: shows & set(cell.types[before:]) and "of 4 are free" in cell.line)

        cell.finish(channels)
        assert cell.types[-2:] == ["execute_reply", "status"]
        assert (cell.reply["status"], cell.reply["ename"]) == ("error", "SparkWaitTimeout")
        assert "of 4 are free" in cell.reply["evalue"]
        assert not cell.line and cell.types_left[-1] == "error", cell.text
        assert "5050.0" in run(channels, "println(kept)").text, "the variables stay"

    def test_a_master_that_is_away_is_told_and_an_interrupt_ends_the_wait(
        self, gateway: Gateway, two: list[str], cluster: StandaloneCluster
    ) -> None:
        """While the context is being made."""
        first, channels = two[0], gateway.connect(two[0])
        run(channels, "sc.stop()")
        cluster.kill_master()
        try:
            cell = Cell(channels, JOB)
            cell.read(channels, lambda: cluster.ui_url in cell.line)
            assert cell.told_at is not None and cell.told_at - cell.begun < LINE
            began = time.monotonic()
            interrupt(gateway, first)
            cell.finish(channels)
            assert cell.reply["status"] == "error" and time.monotonic() - began < 45
            assert "42" in run(channels, "println(6 * 7)").text
        finally:
            cluster.start_master()

    def test_executors_that_end_at_once_are_told_with_what_they_said(
        self, gateway: Gateway, two: list[str], cluster: StandaloneCluster
    ) -> None:
        assert [gateway.delete(kernel_id) for kernel_id in two] == [204, 204]
        wait_until(lambda: cluster.state()["coresused"] <= 2, cluster.state)
        kernel_id, channels = start(gateway, TWO_CORES, name="apache_toree_scala_broken")
        cell = Cell(channels, JOB)
        cell.read(channels, lambda: "no/such.jar" in cell.line or cell.has_ended)
        assert "Error opening zip file or JAR manifest missing : /no/such.jar" in cell.line, cell.text
        assert gateway.delete(kernel_id) == 204


class TestIdleCores:
    """With an `idle_cores_timeout` of a few seconds."""

    OPTIONS = (f"--KG2ATPersonality.idle_cores_timeout={IDLE}", "--KG2ATPersonality.max_queue=100")

    def test_an_idle_notebook_gives_its_cores_back_unless_they_hold_what_is_cached(
        self, gateway: Gateway, cluster: StandaloneCluster
    ) -> None:
        holder, of_holder = start(gateway, TWO_CORES)
        idler, of_idler = start(gateway, TWO_CORES)
        run(of_holder, "val cached = sc.parallelize(1 to 100, 2).cache(); cached.count")
        run(of_idler, JOB)
        wait_until(lambda: granted(cluster, idler) == 0, cluster.state)
        wait_until(lambda: status(gateway, idler)["given_back"] == 2, lambda: status(gateway, idler))
        row = status(gateway, idler)
        assert (row["cores_held"], row["cores_admitted"]) == (0, 2) and row["app_id"] and row["idle_since"]
        asked = gateway.start_kernel(env=TWO_CORES | IMPATIENT)
        assert gateway.delete(asked) == 204, "others may have them"

        cells = [run(of_idler, JOB) for _ in range(3)]
        assert all("5050.0" in cell.text for cell in cells) and granted(cluster, idler) == 2
        # A websocket may hear that a cell begins before the gateway's own socket does; then the next cell is told.
        assert sum("2 cores given back" in cell.text for cell in cells[:2]) == 1
        assert sum("given back" in cell.text for cell in cells) == 1, "it is told once"
        assert granted(cluster, holder) == 2
        kept = run(of_holder, "println(sc.getRDDStorageInfo.map(_.numCachedPartitions).toList)")
        assert "List(2)" in kept.text
        assert [gateway.delete(kernel_id) for kernel_id in (holder, idler)] == [204, 204]

    def test_more_notebooks_than_cores_are_all_served(self, gateway: Gateway, cluster: StandaloneCluster) -> None:
        """Each of them has its line whenever it waits, and the master never has more than it can grant."""
        users = [User(gateway) for _ in range(NOTEBOOKS)]
        seed = random.randrange(2**32)
        print(f"seed {seed}, {NOTEBOOKS} notebooks")
        with ThreadPoolExecutor(NOTEBOOKS) as threads, watched(gateway, cluster, users) as look:
            chance = random.Random(seed)
            served = [threads.submit(user.work, chance.randrange(2**32)) for user in users]
            while not all(each.done() for each in served):
                look()
                time.sleep(0.2)
        assert [each.result() for each in served] == [["5050.0"] * ROUNDS] * NOTEBOOKS
        assert [gateway.delete(user.kernel_id) for user in users] == [204] * NOTEBOOKS


class User:
    """Runs jobs of a notebook of one core, with pauses between them."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway, self.kernel_id = gateway, str(uuid.uuid4())
        self.cell: Cell | None = None

    def _post(self) -> int:
        return self.gateway.request("POST", "/api/kernels", {"kernel_id": self.kernel_id}).status

    def work(self, seed: int) -> list[str]:
        """Return the results that its cells show at their ends."""
        chance = random.Random(seed)
        wait_until(lambda: self._post() == 201, "a kernel", NOTEBOOKS * SOON / 4)  # who is refused asks again
        channels = self.gateway.connect(self.kernel_id)
        found = []
        for _ in range(ROUNDS):
            self.cell = cell = Cell(channels, f"println({JOB})")
            cell.finish(channels)
            assert cell.reply["status"] == "ok" and not cell.line, cell.messages
            found += re.findall("^5050.0$", cell.text, re.MULTILINE)
            assert found[-1:] == ["5050.0"], cell.messages
            time.sleep(chance.uniform(1, 2 * IDLE))  # what a user thinks
        channels.close()
        return found


@contextmanager
def watched(gateway: Gateway, cluster: StandaloneCluster, users: list[User]) -> Iterator[Callable[[], None]]:
    """Yield what looks at the master and the gateway; afterwards assert that nothing was wrong at any look."""
    wrong: list[Any] = []
    of_kernel = {user.kernel_id: user for user in users}

    def look() -> None:
        state = cluster.state()
        cores = [app["cores"] for app in state["activeapps"]]
        if sum(cores) > 4 or max(cores, default=0) > 1 or state["coresused"] > 4:
            wrong.append(state)
        for row in queue(gateway):
            cell = of_kernel[row["kernel_id"]].cell
            if row["app_id"] and row["waited_s"] > LINE and (cell is None or cell.told_at is None):
                wrong.append((row, cell and cell.messages))

    yield look
    assert wrong == []
