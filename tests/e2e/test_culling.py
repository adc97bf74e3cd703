"""Real Torees and Pythons that jupyter_server's culler looks at each second: those whose drivers work stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.gateway_process import QUICK_JVM, Gateway
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
#: A start has to be over sooner: jupyter_server culls a kernel that starts, too.
TIMEOUT = 40
STREAM = 'val query = spark.readStream.format("rate").load().writeStream.format("noop").start()'
#: A job that ends when somebody makes the file GATE, in a thread: no cell is busy.
JOB = """val thread = new Thread { override def run() =
  sc.parallelize(1 to 2, 2).foreach { _ => while (!new java.io.File("GATE").exists) Thread.sleep(50) } }
thread.start()"""
PYTHON_STREAM = "query = spark.readStream.format('rate').load().writeStream.format('noop').start()"
PYTHON_JOB = """import os, threading, time
def wait(_):
    while not os.path.exists("GATE"): time.sleep(0.05)
threading.Thread(target=lambda: sc.parallelize(range(2), 2).foreach(wait)).start()"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory: Path = tmp_path_factory.mktemp("gateway")
    culler = [f"--MappingKernelManager.cull_idle_timeout={TIMEOUT}", "--MappingKernelManager.cull_interval=1"]
    defaults = f"spark.master local[2]\nspark.driver.extraJavaOptions {QUICK_JVM}\n"
    with Gateway(directory, *culler, defaults=defaults) as running:
        yield running


def run(gateway: Gateway, kernel_id: str, code: str) -> None:
    """Run a cell by a websocket that is closed then."""
    channels = gateway.connect(kernel_id)
    assert channels.run(code).reply["status"] == "ok"
    channels.close()


def lives(gateway: Gateway, kernel_id: str) -> bool:
    return gateway.request("GET", f"/api/kernels/{kernel_id}").status == 200


def test_a_stream_and_a_job_in_a_thread_are_never_culled_and_what_is_culled_says_so(
    gateway: Gateway, tmp_path: Path
) -> None:
    """The one that is not used last tells when the others would have been culled."""
    cells = {"apache_toree_scala": (STREAM, JOB), "spark_python": (PYTHON_STREAM, PYTHON_JOB)}
    streams, works = [], []
    for name, (stream, job) in cells.items():
        streams.append(gateway.start_kernel(name))
        run(gateway, streams[-1], stream)
        works.append(gateway.start_kernel(name))
        run(gateway, works[-1], job.replace("GATE", str(tmp_path / "gate")))
    unused = gateway.start_kernel()
    run(gateway, unused, "sc.parallelize(1 to 2).count()")
    wait_until(lambda: not lives(gateway, unused), "the end of the one that nobody uses", 120)
    assert all(lives(gateway, kernel_id) for kernel_id in streams + works)
    for method, action in (("GET", ""), ("GET", "/channels"), ("POST", "/restart")):
        answer = gateway.request(method, f"/api/kernels/{unused}{action}")
        assert answer.status == 404 and f"not been used for {TIMEOUT} s (cull_idle_timeout)" in answer.body["message"]

    for kernel_id in streams:
        run(gateway, kernel_id, "query.stop()")
    (tmp_path / "gate").touch()
    for kernel_id in streams + works:
        wait_until(lambda kernel_id=kernel_id: not lives(gateway, kernel_id), "the end of the others", 120)
    assert not list(gateway.runtime.glob("kernel-*"))
