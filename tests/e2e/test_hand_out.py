"""Kernels that waited for their user beside kernels that were started for one: a real Toree and a real Python."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.session import Session

from kg2at_personality.kernels.kernel import GatewayKernel
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.app import serving
from tests.fakes.gateway_process import defaults_on
from tests.fakes.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.gen_test(timeout=240)]
SECRET = "hush-hush-secret"
#: What a user asks for, and what the administrator has changed since the kernel began to wait.
REQUEST = {"KERNEL_MARK": f"mïne = {SECRET}", "KERNEL_SPARK_CORES_MAX": "2", "KERNEL_SPARK_EXECUTOR_MEMORY": "600m"}
CHANGES = (
    f"spark.my.password {SECRET}",
    "spark.my.letters Z\\u00fcrich, \\u6771\\u4eac",
    "spark.serializer org.apache.spark.serializer.KryoSerializer",
    "spark.sql.shuffle.partitions 7",
    "spark.hadoop.my.key of Hadoop",
    "spark.executorEnv.EXECUTOR_MARK of the executor",
    "spark.dynamicAllocation.enabled true",
    "spark.dynamicAllocation.shuffleTracking.enabled true",
    "spark.dynamicAllocation.maxExecutors 2",
)
#: Keys and variables that differ between any two kernels.
VOLATILE = "spark[.](app[.](id|startTime|submitTime|initial)|driver[.]port|repl[.]|sql[.]warehouse)"


class User:
    """The notebook of a kernel, with a session of its own."""

    def __init__(self, kernel: GatewayKernel) -> None:
        self.kernel = kernel
        self.client = kernel.client(session=Session(key=kernel.session.key))
        self.client.start_channels()

    async def run(self, code: str) -> tuple[str, dict[str, Any]]:
        """Return what a cell shows, without the kernel's id, and its reply."""
        shown: list[str] = []

        def show(message: dict[str, Any]) -> None:
            content = message["content"]
            shown.append(content.get("text") or content.get("data", {}).get("text/plain", ""))

        reply = await self.client.execute_interactive(code, timeout=120, output_hook=show)
        with contextlib.suppress(queue.Empty):  # a Toree sends some of its output when it is idle already
            while True:
                show(await self.client.get_iopub_msg(timeout=0.5 if self.kernel.is_toree else 0.1))
        text = "".join(shown).replace("Waiting for a Spark session to start...", "")
        return text.replace(self.kernel.kernel_id, "ID").strip(), reply["content"]

    async def text(self, code: str) -> str:
        """Return what a cell shows, which must not fail."""
        text, reply = await self.run(code)
        assert reply["status"] == "ok", reply
        return text


class Heard:
    """All that a kernel publishes inside the block, as it is on the wire."""

    def __init__(self, kernel: GatewayKernel) -> None:
        self._kernel, self.parts = kernel, list[bytes]()

    def __enter__(self) -> Heard:
        self._stream = self._kernel.connect_iopub()
        self._stream.on_recv(self.parts.extend)
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()


@pytest.fixture
def conf(tmp_path: Path, cluster: StandaloneCluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Spark's configuration on the cluster, and directories of Jupyter's, all the test's own."""
    for name in [name for name in os.environ if name.startswith(("SPARK_CONF", "KG_", "KG2AT_"))]:
        monkeypatch.delenv(name)
    for name in ("RUNTIME", "DATA", "CONFIG"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / name))
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    path = tmp_path / "spark-defaults.conf"
    write_defaults(path, cluster)
    return path


def write_defaults(path: Path, cluster: StandaloneCluster, *lines: str) -> None:
    path.write_text(defaults_on(cluster, *lines))


@pytest.fixture
def gateway(io_loop: Any, conf: Path) -> Iterator[Any]:
    with serving(io_loop, {}) as client:
        yield client


async def start(gateway: Any, name: str, env: dict[str, str]) -> GatewayKernel:
    manager = gateway.app.kernel_manager
    kernel: GatewayKernel = manager.get_kernel(await manager.start_kernel(kernel_name=name, env=env))
    await kernel.answered()
    return kernel


async def both(gateway: Any, name: str, conf: Path, cluster: StandaloneCluster) -> tuple[User, User, list[bytes]]:
    """Return a kernel that waited and one that was started, for the same launch; and what the first has published."""
    waits = await start(gateway, name, {})
    assert await waits.kind.warm_up(waits.own_client)
    write_defaults(conf, cluster, *CHANGES)
    started = asyncio.create_task(start(gateway, name, REQUEST))
    supplies = gateway.app.kernel_manager.supplies
    plan, env = await supplies.plan(name, REQUEST), supplies.environment(waits.kernel_id, REQUEST)
    assert await waits.kind.misfit(plan, env, None) == ""
    with Heard(waits) as heard:
        await waits.kind.hand_out(waits.own_client, plan, env, None)
    return User(waits), User(await started), heard.parts


async def check_alike(one: User, other: User, cells: list[str]) -> str:
    """Run the cells in both, one after the other. Return all that the first has shown."""
    shown = []
    for cell in cells:
        text, reply = await one.run(cell)
        assert reply["status"] == "ok", reply
        assert (text, reply) == await other.run(cell), cell
        shown.append(text)
    return "\n".join(shown)


def check_secrecy(runtime: Path, heard: list[bytes], kernel_id: str) -> None:
    """The secret is in the kernel's own properties alone, which nobody else may read."""
    assert heard and not [part for part in heard if SECRET.encode() in part]
    assert SECRET not in subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    files = [path for path in runtime.glob(f"kernel-{kernel_id}.*") if path.is_file()]
    assert {path.suffix for path in files if SECRET.encode() in path.read_bytes()} == {".properties"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


#: Scala that has pairs as lines (a result is cut after 1000 characters), without what differs between any two kernels.
PAIRS = f""".toSeq.filter(each => "{VOLATILE}".r.findFirstIn(each._1).isEmpty).map(_.toString).sorted.mkString("\\n")"""
SCALA = [
    "40 + 2",
    "res0 + 1",
    f"println(sys.env{PAIRS})",
    'System.getenv("KERNEL_MARK")',
    'System.getProperty("user.dir")',
    "org.apache.spark.sql.SparkSession.getDefaultSession",
]
SCALA_ON_SPARK = [
    f"println(sc.getConf.getAll{PAIRS})",
    f'println(sys.props.filter(_._1.startsWith("spark.")){PAIRS})',
    'sc.parallelize(1 to 1).map(_ => sys.env("EXECUTOR_MARK")).collect().mkString',
    'sc.hadoopConfiguration.get("my.key")',
    'spark.conf.get("spark.sql.shuffle.partitions")',
]
PYTHON = ["40 + 2", "_ + 1", "%history", "import os; dict(sorted(os.environ.items()))", "os.getcwd(), sorted(dir())"]
PYTHON_ON_SPARK = [
    f"import re; sorted(pair for pair in sc.getConf().getAll() if not re.search(r'{VOLATILE}', pair[0]))",
    "sc.parallelize([1], 1).map(lambda _: os.environ['EXECUTOR_MARK']).collect()",
]


def check_size(cluster: StandaloneCluster, *users: User) -> None:
    """Their applications have the cores and the memory that were asked for."""
    applications = cluster.state()["activeapps"]
    sizes = {app["name"][-36:]: (app["cores"], app["memoryperexecutor"]) for app in applications}
    assert {sizes[user.kernel.kernel_id] for user in users} == {(2, 600)}


async def check_reports(user: User, application: str) -> None:
    """The gateway hears of its driver."""

    def is_told() -> bool:
        report = user.kernel.kind.driver_report()
        return report is not None and report.app_id == application

    await until(is_told, "a report")


async def test_a_toree(gateway: Any, conf: Path, cluster: StandaloneCluster, tmp_path: Path) -> None:
    user, other, heard = await both(gateway, "apache_toree_scala", conf, cluster)
    await check_alike(user, other, SCALA)
    shown = await check_alike(user, other, SCALA_ON_SPARK)
    assert all(line.split()[0] in shown for line in CHANGES) and SECRET in shown and "東京" in shown
    check_size(cluster, user, other)
    check_secrecy(tmp_path / "RUNTIME", heard, user.kernel.kernel_id)
    await check_reports(user, await user.text("println(sc.applicationId)"))
    begun = tmp_path / "begun"
    cell = asyncio.create_task(user.run(f'new java.io.File("{begun}").createNewFile(); while (true) {{}}'))
    await until(begun.exists, "the cell")
    await gateway.app.kernel_manager.interrupt_kernel(user.kernel.kernel_id)
    assert (await cell)[1]["status"] == "error"
    assert await user.text("sc.stop()") == ""
    assert (
        await user.text('println(sc.appName + sc.getConf.get("spark.my.password"))')
        == f"Apache Toree - Scala ID{SECRET}"
    )


async def test_a_python(gateway: Any, conf: Path, cluster: StandaloneCluster, tmp_path: Path) -> None:
    user, other, heard = await both(gateway, "spark_python", conf, cluster)
    await check_alike(user, other, PYTHON)
    shown = await check_alike(user, other, PYTHON_ON_SPARK)
    assert all(line.split()[0] in shown for line in CHANGES) and SECRET in shown and "東京" in shown
    check_size(cluster, user, other)
    check_secrecy(tmp_path / "RUNTIME", heard, user.kernel.kernel_id)
    await check_reports(user, await user.text("print(sc.applicationId)"))
