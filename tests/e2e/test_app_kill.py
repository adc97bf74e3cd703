"""An application whose driver can't be ended is ended at a real master."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import uuid
from pathlib import Path

import pytest

from kg2at_personality.admission.clusters import Clusters
from kg2at_personality.admission.policy import AdmissionPolicy
from kg2at_personality.admission.request import AdmissionRequest
from kg2at_personality.spark.cluster import ExecutorRequest
from kg2at_personality.spark.installation import Installation
from kg2at_personality.spark.master_options import MasterOptions
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.e2e.pyspark_driver import driver
from tests.fakes.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


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
        await until(lambda: lease() == ("running", 1), lease, 60)
        os.killpg(group, signal.SIGSTOP)
        assert await clusters.end_applications(kernel_id)
        await until(
            lambda: cluster.state()["activeapps"] == [] and cluster.state()["coresused"] == 0, cluster.state, 30
        )
        (app,) = cluster.state()["completedapps"]
        assert (app["name"], app["state"]) == (f"x {kernel_id}", "KILLED")
        await clusters.close()

    clusters = Clusters(AdmissionPolicy(), MasterOptions(), logging.getLogger("tests.clusters"))
    with driver(installation, cluster.master_url, f"x {kernel_id}", tmp_path) as process:
        asyncio.run(scene(process.pid))
