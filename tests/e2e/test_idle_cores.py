"""Real Torees and Pythons on a real standalone cluster that give back the cores which they leave idle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.spark.driver_report import parsed
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.channels import Channels
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
TIMEOUT = 4


@dataclass(frozen=True)
class Cells:
    """What a notebook runs: a job with a shuffle of 4 partitions, one of 4 tasks, and what it caches.

    Those 4 tasks tell that they run by files beside GATE, and end when somebody makes that.
    """

    sums: str
    gated: str
    cached: str
    how_much: str
    dropped: str


CELLS = {
    "apache_toree_scala": Cells(
        "val sums = sc.parallelize(1 to 1000, 8).map(each => (each % 7, each)).reduceByKey(_ + _, 4)",
        'sc.parallelize(1 to 4, 4).foreach { n => new java.io.File("GATE" + n).createNewFile();'
        ' while (!new java.io.File("GATE").exists) Thread.sleep(50) }',
        "val kept = sc.parallelize(1 to 1000, 1).cache()\nkept.count()",
        "println(sc.getRDDStorageInfo.map(_.numCachedPartitions).sum)",
        "kept.unpersist(true)",
    ),
    "spark_python": Cells(
        "sums = sc.parallelize(range(1000), 8).map(lambda n: (n % 7, n)).reduceByKey(lambda a, b: a + b, 4)",
        "def wait(n):\n    import os, time\n    open(f'GATE{n}', 'w').close()\n"
        "    while not os.path.exists('GATE'): time.sleep(0.05)\nsc.parallelize(range(4), 4).foreach(wait)",
        "kept = sc.parallelize(range(1000), 1).cache()\nkept.count()",
        "print(sum(each.numCachedPartitions() for each in sc._jsc.sc().getRDDStorageInfo()))",
        "kept.unpersist(True)",
    ),
}


@pytest.fixture(scope="module")
def gateway(cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory: Path = tmp_path_factory.mktemp("gateway")
    defaults = defaults_on(cluster, "spark.cores.max 4", "spark.executor.cores 2")
    with Gateway(directory, f"--KG2ATPersonality.idle_cores_timeout={TIMEOUT}", defaults=defaults) as running:
        yield running


@pytest.fixture(scope="module", params=CELLS)
def name(request: Any) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def cells(name: str) -> Cells:
    return CELLS[name]


@pytest.fixture(scope="module")
def kernel(gateway: Gateway, name: str) -> Iterator[str]:
    kernel_id = gateway.start_kernel(name)
    yield kernel_id
    assert gateway.delete(kernel_id) == 204


def cores_of(cluster: StandaloneCluster) -> list[int]:
    """Return the cores of each application."""
    return [app["cores"] for app in cluster.state()["activeapps"]]


def become(cluster: StandaloneCluster, cores: int) -> None:
    """Wait until the one application has so many cores."""
    wait_until(lambda: cores_of(cluster) == [cores], cluster.state, 120)


def run_on_all(notebook: Channels, code: str, cluster: StandaloneCluster) -> str:
    """Run a cell that takes the 4 cores, if only for a moment. Return what it shows."""
    cell = notebook.execute(code)
    become(cluster, 4)
    return notebook.finish(cell).text


def test_idle_cores_are_everybodys_and_the_next_job_takes_them_again(
    gateway: Gateway, kernel: str, notebook: Channels, cells: Cells, cluster: StandaloneCluster
) -> None:
    """The data of its shuffle goes with them, and is made again."""
    assert "7" in run_on_all(notebook, f"{cells.sums}\nsums.count()", cluster)
    become(cluster, 0)
    report = gateway.runtime / f"kernel-{kernel}.report"
    wait_until(lambda: parsed(report.read_bytes()).executors == 0, report.read_text)
    assert "7" in run_on_all(notebook, "sums.count()", cluster)


def test_a_job_that_runs_longer_keeps_its_cores(
    notebook: Channels, cells: Cells, cluster: StandaloneCluster, tmp_path: Path
) -> None:
    cell = notebook.execute(cells.gated.replace("GATE", str(tmp_path / "gate")))
    wait_until(lambda: len(list(tmp_path.iterdir())) == 4, "its tasks")
    end = time.monotonic() + 2 * TIMEOUT
    while time.monotonic() < end:
        assert cores_of(cluster) == [4]
        time.sleep(0.2)  # how often it is looked at
    (tmp_path / "gate").touch()
    assert notebook.finish(cell).reply["status"] == "ok"


def test_cached_data_stays(notebook: Channels, cells: Cells, cluster: StandaloneCluster) -> None:
    """An executor that holds none ends, which tells that the time is over."""
    become(cluster, 0)
    notebook.run(cells.cached)
    become(cluster, 2)
    assert "1" in notebook.run(cells.how_much).text
    notebook.run(cells.dropped)
    become(cluster, 0)
