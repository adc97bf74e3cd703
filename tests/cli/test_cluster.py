"""`jupyter kg2at cluster`: real masters and workers, and each way to end them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli import program
from tests.fakes.installation import needs_spark
from tests.fakes.ports import held_port
from tests.fakes.wait import wait_until

PROGRAM = [sys.executable, "-m", "kg2at_personality.cli", "cluster"]
#: A parent that starts the program given to it, and waits.
PARENT = "import subprocess, sys; subprocess.run(sys.argv[1:])"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workers", "0"], "--workers: 0 is not between"),
        (["--cores", "-1"], "--cores"),
        (["--memory", "1.5g"], "--memory: '1.5g' is not a size"),
        (["--memory", "1k"], "less than 1m"),
        (["--port", "65536"], "--port: 65536"),
        (["--port", "7077", "--webui-port", "7077"], "both 7077"),
        (["two"], "two"),
    ],
)
def test_usage(arguments: list[str], said: str) -> None:
    ran = program.run(["cluster", *arguments], os.environ)
    errors = ran.stderr.decode()
    assert (ran.returncode, ran.stdout) == (2, b"") and said in errors and "Traceback" not in errors


@needs_spark
def test_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environ = os.environ | {"TMPDIR": str(tmp_path)}
        ran = subprocess.run([*PROGRAM, "--port", str(port)], capture_output=True, text=True, env=environ)
    assert ran.returncode == 1 and f"Port {port} can't be had" in ran.stderr and "Traceback" not in ran.stderr
    assert os.listdir(tmp_path) == []


def test_no_spark(tmp_path: Path) -> None:
    ran = program.run(["cluster"], os.environ | {"SPARK_HOME": str(tmp_path)})
    errors = ran.stderr.decode()
    assert ran.returncode == 1 and str(tmp_path) in errors and "Traceback" not in errors


class Running:
    """A cluster, started by `wrapper` and its arguments."""

    def __init__(self, tmp_path: Path, *options: str, wrapper: tuple[str, ...] = ()) -> None:
        self.tmp, self.errors = tmp_path / "tmp", tmp_path / "errors"
        self.tmp.mkdir()
        environ = os.environ | {"TMPDIR": str(self.tmp)}
        argv = [*wrapper, *PROGRAM, "--cores", "1", "--memory", "512m", *options]
        with self.errors.open("wb") as errors:
            self.started = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, text=True, env=environ)
        self.program, self.everyone = psutil.Process(self.started.pid), list[psutil.Process]()

    def lines(self, count: int) -> list[str]:
        """The next lines of its output: they come when the workers are there."""
        assert self.started.stdout is not None
        lines = [self.started.stdout.readline().strip() for _ in range(count)]
        assert all(lines), self.errors.read_text()
        if self.program.cmdline()[1:3] != PROGRAM[1:3]:
            self.program = self.program.children()[0]
        self.everyone = [self.program, *self.program.children(recursive=True)]
        return lines

    def nothing_is_left(self) -> bool:
        return not psutil.wait_procs(self.everyone, 60)[1] and os.listdir(self.tmp) == []


@contextlib.contextmanager
def running(tmp_path: Path, *options: str, wrapper: tuple[str, ...] = ()) -> Iterator[Running]:
    cluster = Running(tmp_path, *options, wrapper=wrapper)
    try:
        yield cluster
    finally:
        for process in [cluster.program, *cluster.everyone]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        cluster.started.communicate(timeout=120)


def state(port: str) -> dict[str, object]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://127.0.0.1:{port}/json/", timeout=20) as answer:
        return dict(json.load(answer))


@pytest.mark.e2e
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_workers_are_registered_and_a_signal_ends_it_all(tmp_path: Path, signum: int) -> None:
    port, webui = held_port(), held_port()
    with running(tmp_path, "--workers", "2", "--port", str(port), "--webui-port", str(webui)) as cluster:
        assert cluster.lines(2) == [f"spark.master spark://127.0.0.1:{port}", f"spark.master.ui.port {webui}"]
        seen = state(str(webui))
        assert (seen["aliveworkers"], seen["cores"], seen["memory"]) == (2, 2, 1024)
        cluster.program.send_signal(signum)
        assert cluster.started.wait(120) == 0
        assert cluster.nothing_is_left()
        assert "2 of 2 workers registered" in cluster.errors.read_text()
        assert "Traceback" not in cluster.errors.read_text()


@pytest.mark.e2e
def test_its_parents_death_ends_it(tmp_path: Path) -> None:
    with running(tmp_path, wrapper=(sys.executable, "-c", PARENT)) as cluster:
        cluster.lines(2)
        cluster.started.kill()
        assert cluster.nothing_is_left()
        assert "Everything is stopped" in cluster.errors.read_text()


@pytest.mark.e2e
def test_its_own_sudden_death_leaves_no_process(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        cluster.lines(2)
        cluster.program.kill()
        assert not psutil.wait_procs(cluster.everyone, 60)[1]


@pytest.mark.e2e
def test_ended_while_it_starts(tmp_path: Path) -> None:
    with running(tmp_path) as cluster:
        wait_until(lambda: "Starting" in cluster.errors.read_text(), cluster.errors.read_text)
        cluster.everyone = [cluster.program, *cluster.program.children(recursive=True)]
        cluster.program.send_signal(signal.SIGINT)
        assert cluster.started.wait(120) == 0
        assert cluster.nothing_is_left()


def is_master(process: psutil.Process) -> bool:
    """Whether it is the master's JVM; what has ended meanwhile is none."""
    try:
        return "org.apache.spark.deploy.master.Master" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


@pytest.mark.e2e
def test_a_master_that_dies_is_an_error(tmp_path: Path) -> None:
    with running(tmp_path, "--json") as cluster:
        text = ""
        assert cluster.started.stdout is not None
        while not text.endswith("}\n"):
            text += cluster.started.stdout.readline()
        assert json.loads(text)["spark.master"].startswith("spark://127.0.0.1:")
        cluster.everyone = [cluster.program, *cluster.program.children(recursive=True)]
        next(each for each in cluster.everyone if is_master(each)).kill()
        assert cluster.started.wait(120) == 1
        assert cluster.nothing_is_left()
        assert "master ended by itself" in cluster.errors.read_text()
