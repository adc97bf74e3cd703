"""The Spark UI of real drivers through a real gateway, and the progress of their jobs."""

from __future__ import annotations

import html
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from kg2at_personality.spark.driver_report import DriverReport, parsed
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.channels import HERE, PYTHON, SCALA, Channels
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
#: What a page of Spark's names: links, styles, scripts, forms.
LINKS = re.compile(r"""(?:href|src|action)=["']([^"'#]*)""")
#: How the same is done in each language: a job, a query, a job that waits for the file GATE, a context without a web
#: UI, and one with spark.ui.reverseProxy in its place.
SCALA_CELLS = {
    "job": "sc.parallelize(1 to 100).sum()",
    "query": 'spark.range(10).groupBy("id").count().collect().length',
    "long": 'sc.setJobDescription("a <b>long</b> one"); sc.parallelize(1 to 3, 3).map { each => while (each == 3 && '
    '!new java.io.File("GATE").exists) Thread.sleep(50); each }.count()',
    "off": 'new org.apache.spark.SparkContext(new org.apache.spark.SparkConf().set("spark.ui.enabled", "false"))',
    "proxied": "org.apache.spark.SparkContext.getOrCreate.stop()\n"
    'new org.apache.spark.SparkContext(new org.apache.spark.SparkConf().set("spark.ui.reverseProxy", "true"))',
}
PYTHON_CELLS = {
    "job": "sc.parallelize(range(1, 101)).sum()",
    "query": "len(spark.range(10).groupBy('id').count().collect())",
    "long": "import os, time\ndef wait(each):\n    while each == 3 and not os.path.exists('GATE'): time.sleep(.05)\n"
    "    return each\nsc.setJobDescription('a <b>long</b> one'); sc.parallelize(range(1, 4), 3).map(wait).count()",
    "off": "from pyspark.sql import SparkSession\n"
    "spark = SparkSession.builder.config('spark.ui.enabled', 'false').getOrCreate()",
    "proxied": "spark.stop()\nspark = SparkSession.builder.config('spark.ui.enabled', 'true')"
    ".config('spark.ui.reverseProxy', 'true').getOrCreate()",
}


@pytest.fixture(scope="module")
def gateway(cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory: Path = tmp_path_factory.mktemp("gateway")
    defaults = defaults_on(cluster, "spark.cores.max 2", "spark.executor.cores 1", "spark.ui.port 0")
    with Gateway(directory, defaults=defaults) as running:
        yield running


@pytest.fixture(scope="module", params=[("apache_toree_scala", SCALA_CELLS), ("spark_python", PYTHON_CELLS)])
def kind(request: Any) -> Any:
    return request.param


@pytest.fixture(scope="module")
def kernel(gateway: Gateway, kind: Any) -> Iterator[str]:
    kernel_id = gateway.start_kernel(kind[0])
    yield kernel_id
    assert gateway.delete(kernel_id) == 204
    assert Ui(gateway, kernel_id, kind[1]).ask("/jobs/")[0] == 404


class Ui:
    """A kernel's Spark UI, as the gateway shows it; `cells` are those of its language."""

    def __init__(self, gateway: Gateway, kernel_id: str, cells: dict[str, str]) -> None:
        self.gateway, self.kernel_id, self.cells = gateway, kernel_id, cells
        self.root = f"{gateway.url}/kg2at/kernels/{kernel_id}/spark"
        self.report_file = gateway.runtime / f"kernel-{kernel_id}.report"

    def ask(self, path: str) -> tuple[int, str, str, str]:
        """Return status, address after redirects, type and text of a page."""
        headers = {"Authorization": f"token {self.gateway.token}"}
        try:
            answer = urllib.request.urlopen(urllib.request.Request(self.root + path, headers=headers), timeout=60)
        except urllib.error.HTTPError as error:
            return error.code, "", "", error.read().decode()
        return answer.status, answer.url, answer.headers["Content-Type"], answer.read().decode(errors="replace")

    @property
    def report(self) -> DriverReport:
        return parsed(self.report_file.read_bytes())

    @property
    def row(self) -> dict[str, Any]:
        """The kernel in a status that looks at jobs."""
        kernels = self.gateway.request("GET", "/kg2at/status?jobs=true").body["kernels"]
        return dict(next(each for each in kernels if each["kernel_id"] == self.kernel_id))


@pytest.fixture(scope="module")
def ui(gateway: Gateway, kernel: str, kind: Any) -> Ui:
    return Ui(gateway, kernel, kind[1])


def test_before_there_is_an_application(ui: Ui, notebook: Channels) -> None:
    status, _, _, text = ui.ask("/jobs/")
    assert status == 404 and "Run a cell that uses Spark" in text and ui.row["spark_ui"] is None


def test_all_that_the_pages_name_comes_from_below(ui: Ui, notebook: Channels) -> None:
    for cell in ("job", "query"):
        assert notebook.run(ui.cells[cell]).reply["status"] == "ok"
    wait_until(lambda: ui.row["spark_ui"], "the UI", 10)
    todo, seen = ["/"], dict[str, int]()
    while todo:
        path = todo.pop()
        status, url, kind, text = ui.ask(path)
        seen[path] = status
        if not kind.startswith("text/html"):
            continue
        assert f"setUIRoot('{ui.root.removeprefix(ui.gateway.url)}')" in text, path
        links = {urljoin(url, html.unescape(link)) for link in LINKS.findall(text)}
        # An executor's output is shown by its worker.
        links = {link for link in links if "/logPage" not in link and not link.startswith("javascript:")}
        assert [link for link in links if not link.startswith(f"{ui.root}/")] == [], path
        # Each table can be sorted in many ways.
        todo += {link.removeprefix(ui.root) for link in links if "sort=" not in link} - {*seen, *todo}
    assert set(seen.values()) == {200}, seen
    for page in ("/jobs/", "/stages/", "/SQL/", "/executors/", "/environment/", "/storage/", "/static/webui.js"):
        assert page in seen
    assert json.loads(ui.ask("/api/v1/applications")[3])[0]["id"] == ui.report.app_id


def test_a_port_that_the_report_makes_up(ui: Ui, gateway: Gateway) -> None:
    """As its user's own process can write it: the gateway's own."""
    written = ui.report_file.read_bytes()
    forged = json.loads(written) | {"ui_port": gateway.port}
    ui.report_file.write_bytes(json.dumps(forged).ljust(512).encode())
    status, _, _, text = ui.ask("/jobs/")
    ui.report_file.write_bytes(written)
    assert status == 503 and f"listens on port {gateway.port}" in text
    assert ui.ask("/jobs/")[0] == 200


def test_a_jobs_progress(ui: Ui, notebook: Channels, tmp_path: Path) -> None:
    cell = notebook.execute(ui.cells["long"].replace("GATE", str(tmp_path / "gate")))
    wait_until(lambda: any(job["done"] == 2 for job in ui.row["jobs"]), lambda: ui.row, 60)
    [job] = ui.row["jobs"]
    assert (job["name"], job["tasks"], job["done"], job["failed"]) == ("a <b>long</b> one", 3, 2, 0)
    assert job["seconds"] > 0 and (job["stages"], job["stages_done"]) == (1, 0)
    (tmp_path / "gate").touch()
    assert notebook.finish(cell).reply["status"] == "ok"
    wait_until(lambda: not ui.row["jobs"], "the job's end", 10)


def test_a_job_is_ended_by_its_link(ui: Ui, notebook: Channels, tmp_path: Path) -> None:
    cell = notebook.execute(ui.cells["long"].replace("GATE", str(tmp_path / "gate")))
    wait_until(lambda: ui.row["jobs"], "the job", 60)
    _, _, _, text = ui.ask("/jobs/")
    [link] = set(re.findall(rf"{ui.root.removeprefix(ui.gateway.url)}(/jobs/job/kill/\?id=\d+)", text))
    try:
        urllib.request.urlopen(f"{ui.root}{link}&token={ui.gateway.token}", timeout=10)
    except urllib.error.HTTPError as error:
        assert error.code == 403, "nothing says that the page has sent it"
    status, url, _, _ = ui.ask(link)
    assert (status, url) == (200, f"{ui.root}/jobs/")
    assert notebook.finish(cell).reply["status"] == "error"
    (tmp_path / "gate").touch()  # a task that runs is not interrupted


def test_another_context(ui: Ui, notebook: Channels, kind: Any, tmp_path: Path) -> None:
    """One without a UI."""
    notebook.run("sc.stop()")
    wait_until(lambda: not ui.report.app_id, "its end", 20)
    assert ui.ask("/jobs/")[0] == 404 and ui.row["spark_ui"] is None
    cell = notebook.begin(f"{HERE}\n{ui.cells['off']}", tmp_path / "here", SCALA if kind[1] is SCALA_CELLS else PYTHON)
    assert notebook.finish(cell).reply["status"] == "ok"
    wait_until(lambda: ui.report.app_id, "the next", 20)
    status, _, _, text = ui.ask("/jobs/")
    assert status == 404 and "spark.ui.enabled" in text


def test_a_context_whose_pages_are_seen_through_the_master(ui: Ui, notebook: Channels) -> None:
    assert notebook.run(ui.cells["proxied"]).reply["status"] == "ok"
    wait_until(lambda: ui.row["spark_ui"], "the UI", 20)
    status, url, _, text = ui.ask("/")
    root = ui.root.removeprefix(ui.gateway.url)
    assert (status, url) == (200, f"{ui.root}/jobs/") and "/proxy/" not in text
    assert f"setUIRoot('{root}')" in text and f'"{root}/executors/"' in text
