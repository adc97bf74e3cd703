"""An application whose driver can't be ended is ended at a real master."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kg2at_personality.admission.clusters import Clusters
from kg2at_personality.admission.policy import AdmissionPolicy
from kg2at_personality.admission.request import AdmissionRequest
from kg2at_personality.spark.cluster import ExecutorRequest
from kg2at_personality.spark.installation import Installation
from kg2at_personality.spark.master_options import MasterOptions
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
DRIVER = """
import sys, time
from pyspark import SparkConf, SparkContext
conf = SparkConf().setMaster(sys.argv[1]).setAppName(sys.argv[2])
conf.set("spark.cores.max", "1").set("spark.executor.memory", "512m").set("spark.ui.enabled", "false")
sc = SparkContext(conf=conf)
print("up", flush=True)
time.sleep(600)
"""


@contextmanager
def driver(installation: Installation, master_url: str, name: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a Python and its JVM, in a process group of their own, with a SparkContext."""
    dropped = ("KG_", "KG2AT_", "SPARK_")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    environ |= {"SPARK_HOME": installation.spark.home, "JAVA_HOME": installation.java.home}
    environ |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    argv = [sys.executable, "-c", DRIVER, master_url, name]
    with (
        (directory / "driver.log").open("wb") as log,
        subprocess.Popen(
            argv, env=environ, cwd=directory, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "up\n", (directory / "driver.log").read_text()
            yield process
        finally:
            os.killpg(process.pid, signal.SIGCONT)
            os.killpg(process.pid, signal.SIGKILL)


def test_the_application_of_a_frozen_driver_is_ended_and_its_core_is_free(
    cluster: StandaloneCluster, installation: Installation, tmp_path: Path
) -> None:
    kernel_id = str(uuid.uuid4())
    request = AdmissionRequest(kernel_id, "apache_toree_scala", "ann", ExecutorRequest(1, None, 512))

    def lease() -> tuple[str, int]:
        (status,) = clusters.status()
        return status["leases"][kernel_id]["state"], status["leases"][kernel_id]["granted"]

    async def scene(group: int) -> None:
        clusters.adopt(request, [cluster.ui_url], restarted=False)
        await until(lambda: lease() == ("running", 1), lease, 30)
        os.killpg(group, signal.SIGSTOP)
        assert await clusters.end_applications(kernel_id)
        await until(lambda: cluster.state()["activeapps"] == [] and cluster.state()["coresused"] == 0, cluster.state, 5)
        (app,) = cluster.state()["completedapps"]
        assert (app["name"], app["state"]) == (f"x {kernel_id}", "KILLED")
        await clusters.close()

    clusters = Clusters(AdmissionPolicy(), MasterOptions(), logging.getLogger("tests.clusters"))
    with driver(installation, cluster.master_url, f"x {kernel_id}", tmp_path) as process:
        asyncio.run(scene(process.pid))
