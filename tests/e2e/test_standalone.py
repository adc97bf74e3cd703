"""A real Toree and a real Python on a real standalone master and worker, through a real gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kg2at_personality.spark.standalone import StandaloneCluster
from tests.e2e import language
from tests.e2e.language import LANGUAGES, Language
from tests.fakes.channels import HERE
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def gateway(cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory: Path = tmp_path_factory.mktemp("gateway")
    with Gateway(directory, defaults=defaults_on(cluster)) as running:
        yield running


def granted(cluster: StandaloneCluster) -> dict[str, int]:
    """Return the cores that each application holds, by its name."""
    return {app["name"]: app["cores"] for app in cluster.state()["activeapps"]}


def app_id(gateway: Gateway, kernel_id: str) -> str | None:
    """Return the application that the gateway takes for the kernel's."""
    rows = gateway.request("GET", "/kg2at/status").body["kernels"]
    return next(row["app_id"] for row in rows if row["kernel_id"] == kernel_id)


@pytest.mark.parametrize("spoken", LANGUAGES, ids=language.name)
def test_a_notebook_takes_its_cores_and_gives_them_back(
    gateway: Gateway, cluster: StandaloneCluster, spoken: Language
) -> None:
    env = {"KERNEL_SPARK_CORES_MAX": "2", "KERNEL_SPARK_EXECUTOR_CORES": "2"}
    kernel_id = gateway.start_kernel(spoken.kernel, env=env)
    channels = gateway.connect(kernel_id)
    assert granted(cluster) == {}, "it is lazy: no core before the first use of sc"
    assert "5050" in channels.run(spoken.sum(100)).text
    assert granted(cluster) == {f"{spoken.application} {kernel_id}": 2}
    assert "5050" in channels.run(spoken.show(spoken.sum(100))).text
    [app] = cluster.state()["activeapps"]
    wait_until(lambda: app_id(gateway, kernel_id) == app["id"], f"known by its name, its user and its age: {app}")
    assert gateway.delete(kernel_id) == 204
    wait_until(lambda: granted(cluster) == {}, cluster.state)


def test_a_notebook_without_a_size_takes_one_core(gateway: Gateway, cluster: StandaloneCluster, tmp_path: Path) -> None:
    kernel_id = gateway.start_kernel()
    channels = gateway.connect(kernel_id)
    assert "2" in channels.run("sc.parallelize(1 to 2).count()").text
    assert granted(cluster) == {f"Apache Toree - Scala {kernel_id}": 1}
    # Interrupted on a cluster, the kernel and its cores stay.
    job = f"sc.parallelize(1 to 4, 4).foreach {{ _ => {HERE}; Thread.sleep(60000) }}"
    message = channels.begin(job, tmp_path / "here")
    assert gateway.request("POST", f"/api/kernels/{kernel_id}/interrupt", {}).status == 204
    assert channels.finish(message).reply["status"] == "error"
    assert "3" in channels.run("1 + 2").text
    assert gateway.delete(kernel_id) == 204
