"""Cores first, on a real master with one worker of 4 cores. The tests build on each other's kernels, in this order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.spark.installation import Installation
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.gateway_process import Answer, Gateway, defaults_on
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
FOREIGN = """
import time
from pyspark import SparkContext
sc = SparkContext(appName="foreign")
print("up", flush=True)
time.sleep(600)
"""

#: Seconds that a kernel waits for cores, and the most for what does not wait for them, on a busy machine.
WAIT, SOON = 120, 60
#: Seconds that an impatient client waits for its answer.
IMPATIENT = {"KERNEL_LAUNCH_TIMEOUT": "5"}


@pytest.fixture(scope="module")
def gateway(cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    options = (f"--KG2ATPersonality.core_wait_timeout={WAIT}", "--KG2ATPersonality.core_poll_interval=0.3")
    directory: Path = tmp_path_factory.mktemp("gateway")
    with Gateway(directory, *options, defaults=defaults_on(cluster)) as running:
        yield running


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def post(gateway: Gateway, **env: str) -> Answer:
    return gateway.request("POST", "/api/kernels", {"env": env})


def status(gateway: Gateway) -> dict[str, Any]:
    return dict(gateway.request("GET", "/kg2at/status").body)


def waiting(gateway: Gateway, threads: ThreadPoolExecutor, **env: str) -> Future[Answer]:
    """Send a POST; returns when it waits in the queue."""
    before = len(status(gateway)["queue"])
    answer = threads.submit(post, gateway, **env)
    wait_until(lambda: len(status(gateway)["queue"]) > before or answer.done(), "its place in the queue")
    assert not answer.done(), answer.result()
    return answer


@pytest.fixture(scope="module")
def four(gateway: Gateway, cluster: StandaloneCluster, threads: ThreadPoolExecutor) -> list[str]:
    """Return the kernels that got in when 12 asked at once."""
    answers = list(threads.map(lambda _: post(gateway, **IMPATIENT), range(12)))
    admitted = [answer for answer in answers if answer.status == 201]
    refused = [answer for answer in answers if answer.status == 503]
    assert (len(admitted), len(refused)) == (4, 8)
    for answer in refused:
        assert int(answer.headers["Retry-After"]) >= 1
        assert "1 core" in answer.body["message"] and "of 4" in answer.body["message"], answer.body
    return [answer.body["id"] for answer in admitted]


def test_all_four_run_a_job(gateway: Gateway, cluster: StandaloneCluster, four: list[str]) -> None:
    notebooks = [gateway.connect(kernel_id) for kernel_id in four]
    messages = [notebook.execute("sc.parallelize(1 to 100).sum()") for notebook in notebooks]
    for notebook, message in zip(notebooks, messages, strict=True):
        assert "5050.0" in notebook.finish(message, timeout=200).text
        notebook.close()
    assert {app["state"] for app in cluster.state()["activeapps"]} == {"RUNNING"}
    wait_until(lambda: status(gateway)["cluster"]["cores_promised"] == 0, lambda: status(gateway))
    rows = {row["kernel_id"]: row for row in status(gateway)["kernels"]}
    assert set(rows) == set(four)
    for row in rows.values():
        assert row["cores"] == 1 and row["app_id"].startswith("app-") and row["pid"] > 0, row


def test_a_delete_lets_exactly_the_next_in(gateway: Gateway, threads: ThreadPoolExecutor, four: list[str]) -> None:
    first = waiting(gateway, threads, KERNEL_USERNAME="first")
    second = waiting(gateway, threads, KERNEL_USERNAME="second", **IMPATIENT)
    assert [row["user"] for row in status(gateway)["queue"]] == ["first", "second"]
    assert gateway.delete(four.pop()) == 204
    four.append(first.result().body["id"])
    assert second.result().status == 503


def test_sc_stop_lets_the_next_in(gateway: Gateway, threads: ThreadPoolExecutor, four: list[str]) -> None:
    notebook = gateway.connect(four[0])
    next_in = waiting(gateway, threads)
    notebook.run("sc.stop()")
    answer = next_in.result()
    assert answer.status == 201, answer.body
    assert gateway.delete(answer.body["id"]) == 204


def test_a_client_that_hangs_up_leaves_the_queue(gateway: Gateway, four: list[str]) -> None:
    # The core that sc.stop() freed is asked for twice: there is only one.
    body = b'{"env": {"KERNEL_SPARK_CORES_MAX": "2"}}'
    request = (
        f"POST /api/kernels HTTP/1.1\r\nHost: x\r\nAuthorization: token {gateway.token}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(request)
        wait_until(lambda: len(status(gateway)["queue"]) == 1, "its place in the queue")
    wait_until(lambda: status(gateway)["queue"] == [], "its leave", SOON)
    assert len(gateway.request("GET", "/api/kernels").body) == 4


def test_an_answer_beats_the_clients_time_out(gateway: Gateway, four: list[str]) -> None:
    began, patience = time.monotonic(), 12  # of which an answer leaves 3 s, on a busy machine too
    answer = post(gateway, KERNEL_SPARK_CORES_MAX="3", KERNEL_LAUNCH_TIMEOUT=str(patience))
    assert answer.status == 503 and time.monotonic() - began < patience


def test_what_can_never_be_granted_is_refused_at_once(gateway: Gateway, four: list[str]) -> None:
    began = time.monotonic()
    answer = post(gateway, KERNEL_SPARK_CORES_MAX="99")
    assert answer.status == 400 and "99" in answer.body["message"] and time.monotonic() - began < SOON
    answer = post(gateway, KERNEL_SPARK_CORES_MAX="1", KERNEL_SPARK_EXECUTOR_CORES="2")
    assert answer.status == 400
    assert "spark.cores.max" in answer.body["message"] and "spark.executor.cores" in answer.body["message"]


def test_a_restart_keeps_its_cores(gateway: Gateway, threads: ThreadPoolExecutor, four: list[str]) -> None:
    kernel_id = four[-1]
    gateway.connect(kernel_id).run("sc.parallelize(1 to 2).count()")
    rival = waiting(gateway, threads, KERNEL_SPARK_CORES_MAX="2", **IMPATIENT)
    assert gateway.request("POST", f"/api/kernels/{kernel_id}/restart", {}).status == 200
    assert rival.result().status == 503
    assert "2" in gateway.connect(kernel_id).run("sc.parallelize(1 to 2).count()").text


def test_a_foreign_application_is_respected(
    gateway: Gateway,
    cluster: StandaloneCluster,
    installation: Installation,
    threads: ThreadPoolExecutor,
    four: list[str],
    tmp_path: Path,
) -> None:
    while four:
        assert gateway.delete(four.pop()) == 204
    wait_until(lambda: cluster.state()["activeapps"] == [], cluster.state)
    (tmp_path / "foreign.py").write_text(FOREIGN)
    argv = [f"{installation.spark.home}/bin/spark-submit", "--master", cluster.master_url]
    argv += ["--conf", "spark.cores.max=3", "--conf", "spark.executor.memory=512m", str(tmp_path / "foreign.py")]
    environ = gateway.environ | {"PYSPARK_PYTHON": sys.executable, "JAVA_HOME": installation.java.home}
    with subprocess.Popen(
        argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as foreign:
        assert foreign.stdout is not None
        try:
            assert foreign.stdout.readline() == "up\n"
            wait_until(lambda: [app["cores"] for app in cluster.state()["activeapps"]] == [3], cluster.state)
            assert post(gateway, KERNEL_SPARK_CORES_MAX="2", **IMPATIENT).status == 503
            request = waiting(gateway, threads, KERNEL_SPARK_CORES_MAX="2")
            os.killpg(foreign.pid, signal.SIGTERM)
            answer = request.result()
            assert answer.status == 201, answer.body
            assert gateway.delete(answer.body["id"]) == 204
        finally:
            # Its Python is a child of its JVM.
            os.killpg(foreign.pid, signal.SIGKILL)


def test_a_dead_master_is_told_and_its_return_is_seen(gateway: Gateway, cluster: StandaloneCluster) -> None:
    cluster.kill_master()
    answer = post(gateway, **IMPATIENT)
    assert answer.status == 503 and cluster.ui_url in answer.body["message"], answer.body
    assert gateway.request("GET", "/kg2at/status").status == 200
    cluster.start_master()
    answer = post(gateway)
    assert answer.status == 201, answer.body
    assert gateway.delete(answer.body["id"]) == 204
    assert status(gateway)["kernels"] == [] and status(gateway)["cluster"]["cores_promised"] == 0
