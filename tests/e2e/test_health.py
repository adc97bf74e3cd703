"""The gateway is ready as long as the real master of its cluster is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kg2at_personality.kernels import readiness
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture
def gateway(cluster: StandaloneCluster, tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path, defaults=defaults_on(cluster)) as running:
        yield running


def ready(gateway: Gateway) -> tuple[int, str]:
    """Return the status of /kg2at/ready, and what is wrong."""
    answer = gateway.request("GET", "/kg2at/ready")
    return answer.status, answer.body.get("message", "")


def test_a_master_that_dies_and_returns(gateway: Gateway, cluster: StandaloneCluster) -> None:
    assert wait_until(lambda: ready(gateway) == (200, ""), "ready", 20)
    cluster.kill_master()
    assert wait_until(lambda: ready(gateway) == (503, readiness.MASTER), "not ready", 30)
    assert gateway.request("GET", "/kg2at/live").status == 200
    cluster.start_master()
    assert wait_until(lambda: ready(gateway) == (200, ""), "ready again", 60)
    [cluster_row] = gateway.request("GET", "/kg2at/status").body["clusters"]
    assert cluster_row["cluster"]["status"] == "not asked yet", "the status asks no master by itself"
