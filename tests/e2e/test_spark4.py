"""Python on a standalone cluster of Spark 4, for which there is no Toree. The tests go on with one notebook."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg2at_personality.spark.driver_report import parsed
from kg2at_personality.spark.executor_deaths import ExecutorDeaths, executor_deaths
from kg2at_personality.spark.installation import Installation
from kg2at_personality.spark.known_keys import keys_in, known_keys
from kg2at_personality.spark.master import MasterClient
from kg2at_personality.spark.redaction import Redactor
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.cli import program
from tests.e2e.second_spark import SecondSpark, second_spark
from tests.fakes.channels import Channels
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.wait import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.version_info < (3, 11), reason="PySpark 4.3 needs Python 3.11"),
]
VERSION = "4.3.0"
PACKAGES = ("ipykernel==7.4.0", "pandas==3.1.1", "pyarrow==26.0.1")
#: Seconds that a cell may take on a busy machine.
SOON = 120
NO_AGENT = "-javaagent:/no/such.jar"


@pytest.fixture(scope="session")
def spark4() -> SecondSpark:
    return second_spark(VERSION, *PACKAGES)


@pytest.fixture(scope="module")
def cluster(
    spark4: SecondSpark, installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StandaloneCluster]:
    directory = tmp_path_factory.mktemp("cluster")
    with StandaloneCluster(spark4.home, installation.java.home, cores=2, directory=directory) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(
    spark4: SecondSpark,
    cluster: StandaloneCluster,
    installation: Installation,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    environ = {"SPARK_HOME": str(spark4.home), "JAVA_HOME": installation.java.home, "KG2AT_PYTHON": str(spark4.python)}
    defaults = defaults_on(cluster, "spark.cores.max 2", "spark.ui.enabled false")
    directory: Path = tmp_path_factory.mktemp("gateway")
    with Gateway(directory, environ=environ, defaults=defaults) as running:
        yield running


@pytest.fixture(scope="module")
def kernel(gateway: Gateway) -> str:
    return gateway.start_kernel()


def apps(cluster: StandaloneCluster) -> dict[str, int]:
    """Return the cores of each application, by its name."""
    return {app["name"]: app["cores"] for app in cluster.state()["activeapps"]}


def interrupt(gateway: Gateway, kernel_id: str) -> None:
    assert gateway.request("POST", f"/api/kernels/{kernel_id}/interrupt", {}).status == 204


def shown(channels: Channels, code: str) -> str:
    """Run a cell that works, and return all that it shows."""
    result = channels.run(code, SOON)
    assert result.reply["status"] == "ok", result
    return result.text


def test_the_gateway_offers_python_alone(gateway: Gateway) -> None:
    specs = gateway.request("GET", "/api/kernelspecs").body
    assert specs["default"] == "spark_python" and "apache_toree_scala" not in specs["kernelspecs"]
    warnings = [line for line in gateway.log.splitlines() if "[W " in line]
    assert [line for line in warnings if "Scala and SQL kernels are not offered" in line], gateway.log
    assert not [line for line in warnings if "Java" in line], "Spark 4 supports the embedded Java 17"


def test_check_warns_that_toree_is_not_offered(gateway: Gateway) -> None:
    ran = program.run(["check"], gateway.environ | {"KG_PORT": "0", "COLUMNS": "300"})
    lines = ran.stdout.decode().splitlines()
    assert [line for line in lines if line.startswith("warning") and "not offered" in line and "Scala" in line], lines
    assert not [line for line in lines if line.startswith("error")], lines


def test_its_properties_are_known(spark4: SecondSpark) -> None:
    assert set(keys_in(spark4.home / "jars")) <= known_keys()


def test_nothing_is_taken_before_the_first_use(
    gateway: Gateway, kernel: str, notebook: Channels, cluster: StandaloneCluster
) -> None:
    assert "3" in shown(notebook, "1 + 2")
    assert apps(cluster) == {}
    assert VERSION in shown(notebook, "spark.version")
    assert apps(cluster) == {f"Apache Spark - Python {kernel}": 2}


def test_sql_shows_a_table(notebook: Channels) -> None:
    text = shown(notebook, "%%sql -o kept\nSELECT id, id * id AS square FROM range(5)")
    assert "square" in text and "16" in text and "<table" in text
    assert "5" in shown(notebook, "kept.count()")


def test_functions_in_python(notebook: Channels) -> None:
    shown(notebook, "import pandas as pd\nfrom pyspark.sql.functions import pandas_udf, udf\nkept_here = 41 + 1")
    assert "[1, 2, 3]" in shown(
        notebook, 'plus = udf(lambda n: n + 1, "long")\n[row[0] for row in spark.range(3).select(plus("id")).collect()]'
    )
    half = '@pandas_udf("double")\ndef half(n: pd.Series) -> pd.Series:\n    return n / 2\n'
    assert "1.5" in shown(notebook, half + 'spark.range(4).select(half("id").alias("half")).toPandas()')


def test_interrupt_while_pandas_runs_on_the_workers(
    gateway: Gateway, kernel: str, notebook: Channels, cluster: StandaloneCluster, tmp_path: Path
) -> None:
    [before] = cluster.state()["activeapps"]
    sleep = f'import time\n    open("{tmp_path}/here", "w").close()\n    time.sleep(600)'
    code = f'@pandas_udf("long")\ndef slow(n: pd.Series) -> pd.Series:\n    {sleep}\n    return n\n'
    cell = notebook.execute(code + 'spark.range(2).select(slow("id")).collect()')
    wait_until((tmp_path / "here").exists, "the worker", SOON)
    interrupt(gateway, kernel)
    assert notebook.finish(cell, SOON).reply["ename"] == "KeyboardInterrupt"
    assert "42 1000" in shown(notebook, "print(kept_here, spark.range(1000).count())")
    [after] = cluster.state()["activeapps"]
    assert after["id"] == before["id"]


def test_a_stopped_session_gives_its_cores_back_and_the_next_use_makes_another(
    kernel: str, notebook: Channels, cluster: StandaloneCluster
) -> None:
    [before] = cluster.state()["activeapps"]
    shown(notebook, "spark.stop()")
    wait_until(lambda: apps(cluster) == {}, cluster.state)
    assert "42 7" in shown(notebook, "print(kept_here, spark.range(7).count())")
    [after] = cluster.state()["activeapps"]
    assert after["id"] != before["id"] and after["name"] == f"Apache Spark - Python {kernel}"


def test_who_waits_for_cores_is_told(
    gateway: Gateway, kernel: str, notebook: Channels, cluster: StandaloneCluster
) -> None:
    """The master's pages tell who has them, the driver's report that there is a job."""
    shown(notebook, "spark.stop()")
    other = gateway.start_kernel()
    channels = gateway.connect(other)
    assert "3" in shown(channels, "spark.range(3).count()")
    cell = notebook.execute("spark.range(5).count()")
    line = told(notebook, cell)
    assert "0 of 2 are free" in line, line
    report = parsed((gateway.runtime / f"kernel-{kernel}.report").read_bytes())
    assert (report.jobs, report.executors) == (1, 0)
    assert gateway.delete(other) == 204
    channels.close()
    result = notebook.finish(cell, SOON)
    assert result.reply["status"] == "ok" and "5" in result.text


def told(notebook: Channels, cell: str) -> str:
    """Read the websocket until the cell has a line of what it waits for, and return that."""
    while True:
        message = notebook.receive(SOON)
        text = str(message["content"].get("data", {}).get("text/plain", ""))
        if message["parent_header"].get("msg_id") == cell and text.startswith("Waiting for"):
            return text


def test_why_executors_end_is_read_from_the_masters_pages(
    gateway: Gateway, kernel: str, notebook: Channels, cluster: StandaloneCluster
) -> None:
    shown(notebook, "spark.stop()")
    own = f'SparkSession.builder.config("spark.executor.extraJavaOptions", "{NO_AGENT}").getOrCreate()'
    shown(notebook, f"from pyspark.sql import SparkSession\nown = {own}")
    found = wait_until(lambda: (deaths := asyncio.run(ask(cluster))).last_lines and deaths, "their deaths")
    assert found.count > 0 and found.last_lines == ("Error opening zip file or JAR manifest missing : /no/such.jar",)
    shown(notebook, "own.stop()")


async def ask(cluster: StandaloneCluster) -> ExecutorDeaths:
    (app,) = cluster.state()["activeapps"]
    client = MasterClient([cluster.ui_url], timeout=20)
    try:
        return await executor_deaths(client, app["id"], Redactor(values={}))
    finally:
        client.close()


def test_delete_gives_the_cores_back(
    gateway: Gateway, kernel: str, notebook: Channels, cluster: StandaloneCluster
) -> None:
    assert "9" in shown(notebook, "spark.range(9).count()")
    assert apps(cluster) == {f"Apache Spark - Python {kernel}": 2}
    assert gateway.delete(kernel) == 204
    wait_until(lambda: apps(cluster) == {}, cluster.state)
    assert not list(gateway.runtime.glob("kernel-*"))
