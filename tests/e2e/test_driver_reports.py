"""What a real Toree on a real standalone cluster reports of its driver, and how it is interrupted while it waits."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.spark.driver_report import DriverReport, parsed
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.channels import HERE, Channels
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
#: A cell that waits in a job until somebody makes the file.
JOB = f'sc.parallelize(1 to 2, 2).foreach {{ _ => {HERE}; while (!new java.io.File("GATE").exists) Thread.sleep(50) }}'


@pytest.fixture(scope="module")
def gateway(cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory: Path = tmp_path_factory.mktemp("gateway")
    defaults = defaults_on(cluster, "spark.cores.max 2", "spark.executor.cores 1")
    with Gateway(directory, defaults=defaults) as running:
        yield running


@pytest.fixture(scope="module")
def kernel(gateway: Gateway) -> Iterator[str]:
    kernel_id = gateway.start_kernel()
    yield kernel_id
    assert gateway.delete(kernel_id) == 204
    assert not list(gateway.runtime.glob("kernel-*"))


class Reports:
    """The file of a kernel's reports."""

    def __init__(self, gateway: Gateway, kernel: str) -> None:
        self.path = gateway.runtime / f"kernel-{kernel}.report"
        self.newest = DriverReport()

    def become(self, **expected: Any) -> DriverReport:
        """Wait for a report with these values and return it."""

        def is_there() -> bool:
            with contextlib.suppress(ValueError):  # it is being written
                self.newest = parsed(self.path.read_bytes())
            return all(getattr(self.newest, name) == value for name, value in expected.items())

        wait_until(is_there, lambda: f"{expected}, not {self.newest}", 60)
        return self.newest


@pytest.fixture
def reports(gateway: Gateway, kernel: str, notebook: Channels) -> Reports:
    made = Reports(gateway, kernel)
    wait_until(lambda: made.path.stat().st_size, "the first report")
    return made


def test_before_its_first_job(reports: Reports) -> None:
    assert reports.become() == DriverReport()
    assert reports.path.stat().st_mode & 0o777 == 0o600 and reports.path.stat().st_size == 512


def test_a_job(reports: Reports, notebook: Channels, cluster: StandaloneCluster, tmp_path: Path) -> None:
    cell = notebook.begin(JOB.replace("GATE", str(tmp_path / "gate")), tmp_path / "here")
    [app] = cluster.state()["activeapps"]
    report = reports.become(jobs=1, tasks=2, executors=2)
    assert (report.app_id, report.streams, report.idle_since) == (app["id"], 0, None)
    assert report.is_working and not report.lacks_executors
    written = reports.path.stat().st_mtime_ns
    (tmp_path / "gate").touch()
    assert notebook.finish(cell).reply["status"] == "ok"
    ended = reports.become(jobs=0, tasks=0).idle_since
    assert ended is not None and written / 1e9 - 1 < ended <= time.time()


def test_a_job_that_is_over_at_once(reports: Reports, notebook: Channels) -> None:
    before = reports.become(jobs=0).idle_since
    assert before is not None
    notebook.run("sc.parallelize(1 to 2).count()")
    wait_until(lambda: reports.become(jobs=0).idle_since != before, "the end of that job")


def test_nothing_is_written_while_nothing_changes(reports: Reports, notebook: Channels) -> None:
    reports.become(jobs=0, tasks=0)
    written = reports.path.stat().st_mtime_ns
    notebook.run("Thread.sleep(1500)")
    assert reports.path.stat().st_mtime_ns == written


def test_a_streaming_query(reports: Reports, notebook: Channels) -> None:
    """In a session of its own, which has other queries than the notebook's."""
    started = 'spark.newSession.readStream.format("rate").load().writeStream.format("noop").start()'
    assert notebook.run(f"val query = {started}").reply["status"] == "ok"
    assert reports.become(streams=1).is_working
    assert notebook.run("query.stop()").reply["status"] == "ok"
    assert not reports.become(streams=0, jobs=0).is_working


def test_a_stream_of_rdds(reports: Reports, notebook: Channels) -> None:
    """With an interval so long that no job runs."""
    begun = "streaming.start(); streaming.getState"
    notebook.run("import org.apache.spark.streaming._\nval streaming = new StreamingContext(sc, Seconds(3600))")
    notebook.run("streaming.queueStream(scala.collection.mutable.Queue[org.apache.spark.rdd.RDD[Int]]()).print()")
    assert "ACTIVE" in notebook.run(begun).text
    assert reports.become(streams=1).is_working
    notebook.run("streaming.stop(stopSparkContext = false)")
    reports.become(streams=0)


INTERRUPT = 'Thread.getAllStackTraces.keySet.forEach(each => if (each.getName.startsWith("kg2at")) each.interrupt())'


def test_an_interrupt_of_its_thread_does_not_end_the_reports(reports: Reports, notebook: Channels) -> None:
    before = reports.become(jobs=0).idle_since
    assert notebook.run(INTERRUPT).reply["status"] == "ok"
    notebook.run("sc.parallelize(1 to 2).count()")
    wait_until(lambda: reports.become(jobs=0).idle_since != before, "a report")


def test_a_context_that_is_stopped(reports: Reports, notebook: Channels) -> None:
    idle = reports.become(jobs=0).idle_since
    notebook.run("sc.stop()")
    assert reports.become(app_id="") == DriverReport(idle_since=idle)


def test_a_context_whose_constructor_was_interrupted_is_not_one_that_starts(
    reports: Reports, gateway: Gateway, kernel: str, notebook: Channels, tmp_path: Path
) -> None:
    """Made by the cell itself at a master that is not there; SparkContext still holds it (contextBeingConstructed)."""
    conf = 'new org.apache.spark.SparkConf().setMaster("spark://127.0.0.1:9").setAppName("nobody")'
    cell = notebook.begin(f"{HERE}; new org.apache.spark.SparkContext({conf})", tmp_path / "here")
    assert reports.become(is_starting=True).lacks_executors
    assert gateway.request("POST", f"/api/kernels/{kernel}/interrupt", {}).status == 204
    assert notebook.finish(cell).reply["status"] == "error"
    reports.become(is_starting=False)


def test_an_interrupt_ends_the_wait_for_a_master_that_is_away(
    reports: Reports, gateway: Gateway, kernel: str, notebook: Channels, cluster: StandaloneCluster
) -> None:
    """The context goes on to be made, and the next cell that uses it has it when the master is back."""
    cluster.kill_master()
    try:
        cell = notebook.execute("sc.parallelize(1 to 10).sum()")
        assert reports.become(is_starting=True).lacks_executors
        began = time.monotonic()
        assert gateway.request("POST", f"/api/kernels/{kernel}/interrupt", {}).status == 204
        assert "InterruptedException" in json.dumps(notebook.finish(cell, timeout=30).reply)
        assert "2" in notebook.run("1 + 1").text
        assert time.monotonic() - began < 30, "a context waits for its master for a minute"
        assert reports.become(is_starting=True).lacks_executors
    finally:
        cluster.start_master()
    assert "55.0" in notebook.run("sc.parallelize(1 to 10).sum()").text
    assert reports.become(is_starting=False).app_id


def test_a_new_process_begins_anew(reports: Reports, gateway: Gateway, kernel: str) -> None:
    assert gateway.request("POST", f"/api/kernels/{kernel}/restart", {}).status == 200
    assert reports.path.read_bytes() == b""
    again = gateway.connect(kernel)
    wait_until(lambda: reports.path.stat().st_size, "its first report")
    assert reports.become() == DriverReport()
    again.close()
