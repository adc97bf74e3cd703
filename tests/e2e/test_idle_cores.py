"""Real Torees and Pythons on a real standalone cluster that give back the cores which they leave idle."""

from __future__ import annotations

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

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
TIMEOUT = 2


@dataclass(frozen=True)
class Cells:
    """What a notebook runs: a job with a shuffle of 4 partitions, one of 4 tasks that sleep, and what it caches."""

    sums: str
    sleeping: str
    cached: str
    how_much: str
    dropped: str


CELLS = {
    "apache_toree_scala": Cells(
        "val sums = sc.parallelize(1 to 1000, 8).map(each => (each % 7, each)).reduceByKey(_ + _, 4)",
        f"sc.parallelize(1 to 4, 4).foreach(_ => Thread.sleep({TIMEOUT * 2000}))",
        "val kept = sc.parallelize(1 to 1000, 1).cache()\nkept.count()",
        "println(sc.getRDDStorageInfo.map(_.numCachedPartitions).sum)",
        "kept.unpersist(true)",
    ),
    "spark_python": Cells(
        "sums = sc.parallelize(range(1000), 8).map(lambda n: (n % 7, n)).reduceByKey(lambda a, b: a + b, 4)",
        f"sc.parallelize(range(4), 4).foreach(lambda _: __import__('time').sleep({TIMEOUT * 2}))",
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


def become(cluster: StandaloneCluster, cores: int) -> None:
    """Wait until the one application has so many cores."""
    wait_until(lambda: [app["cores"] for app in cluster.state()["activeapps"]] == [cores], cluster.state, 30)


def test_idle_cores_are_everybodys_and_the_next_job_takes_them_again(
    gateway: Gateway, kernel: str, notebook: Channels, cells: Cells, cluster: StandaloneCluster
) -> None:
    """The data of its shuffle goes with them, and is made again."""
    assert "7" in notebook.run(f"{cells.sums}\nsums.count()").text
    become(cluster, 4)
    become(cluster, 0)
    report = gateway.runtime / f"kernel-{kernel}.report"
    wait_until(lambda: parsed(report.read_bytes()).executors == 0, report.read_text, 10)
    assert "7" in notebook.run("sums.count()").text
    become(cluster, 4)


def test_a_job_that_runs_longer_keeps_its_cores(notebook: Channels, cells: Cells, cluster: StandaloneCluster) -> None:
    assert notebook.run(cells.sleeping).reply["status"] == "ok"
    become(cluster, 4)


def test_cached_data_stays(notebook: Channels, cells: Cells, cluster: StandaloneCluster) -> None:
    """An executor that holds none ends, which tells that the time is over."""
    become(cluster, 0)
    notebook.run(cells.cached)
    become(cluster, 2)
    assert "1" in notebook.run(cells.how_much).text
    notebook.run(cells.dropped)
    become(cluster, 0)
