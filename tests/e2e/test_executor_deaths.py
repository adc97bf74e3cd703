"""Executors that end as soon as they start, at a real master: it starts others without end, and kg2at says why."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kg2at_personality.spark.executor_deaths import ExecutorDeaths, executor_deaths
from kg2at_personality.spark.installation import Installation
from kg2at_personality.spark.master import MasterClient
from kg2at_personality.spark.redaction import Redactor
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.e2e.pyspark_driver import driver
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
#: What a JVM refuses: unknown options it ignores, as Spark tells it to (-XX:+IgnoreUnrecognizedVMOptions).
NO_AGENT = "-javaagent:/no/such.jar=password=sesame-0815"


@pytest.fixture
def cluster(installation: Installation, tmp_path: Path) -> StandaloneCluster:
    return StandaloneCluster(installation.spark.home, installation.java.home, cores=1, directory=tmp_path / "cluster")


@pytest.mark.parametrize("reverse_proxy", [False, True])
def test_they_are_counted_and_the_last_one_is_quoted(
    cluster: StandaloneCluster, installation: Installation, tmp_path: Path, reverse_proxy: bool
) -> None:
    async def ask() -> ExecutorDeaths:
        (app,) = cluster.state()["activeapps"]
        client = MasterClient([cluster.ui_url], timeout=20)
        try:
            found = await executor_deaths(client, app["id"], Redactor(values={"spark.password": "sesame-0815"}))
            page = await client.text(f"/app/?appId={app['id']}", 1_000_000)
            assert ('href="/proxy/worker-' in page) is reverse_proxy
            return found
        finally:
            client.close()

    conf = tmp_path / "cluster" / "conf"
    conf.mkdir(parents=True)
    (conf / "spark-defaults.conf").write_text(f"spark.ui.reverseProxy {str(reverse_proxy).lower()}\n")
    with (
        cluster,
        driver(installation, cluster.master_url, "dies", tmp_path, f"spark.executor.extraJavaOptions={NO_AGENT}"),
    ):
        found = wait_until(lambda: (deaths := asyncio.run(ask())).count > 11 and deaths.last_lines and deaths, "deaths")
    assert found.last_lines == ("Error opening zip file or JAR manifest missing : /no/such.jar",)
