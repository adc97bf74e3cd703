"""A Python notebook on Spark, its processes, and what is left of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from kg2at_personality.spark.driver_report import DriverReport, parsed
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.channels import PYTHON, Result
from tests.fakes.gateway_process import Gateway
from tests.fakes.wait import wait_until

NAME = "spark_python"
JOB, ANSWER = "sc.parallelize(range(1, 101), 2).sum()", "5050"


class PythonNotebook:
    """A kernel and a websocket to it."""

    def __init__(self, gateway: Gateway, cluster: StandaloneCluster, **body: Any) -> None:
        self.gateway, self.cluster = gateway, cluster
        self.kernel_id = gateway.start_kernel(**{"name": NAME} | body)
        self.channels = gateway.connect(self.kernel_id)

    # What its user does.

    def run(self, code: str, timeout: float = 120) -> Result:
        return self.channels.run(code, timeout)

    def text(self, code: str) -> str:
        """Return what a cell shows, which must not fail."""
        result = self.run(code)
        assert result.reply["status"] == "ok", result
        return result.text.strip()

    def begin(self, code: str, marker: Path) -> str:
        """Begin a cell; returns when it comes to HERE."""
        return self.channels.begin(code, marker, PYTHON)

    def finish(self, cell: str, timeout: float = 60) -> Result:
        return self.channels.finish(cell, timeout)

    def interrupt(self) -> None:
        assert self.gateway.request("POST", f"/api/kernels/{self.kernel_id}/interrupt", {}).status == 204

    def restart(self) -> None:
        assert self.gateway.request("POST", f"/api/kernels/{self.kernel_id}/restart", {}).status == 200

    def connect(self) -> None:
        """Open a new websocket."""
        with contextlib.suppress(OSError):
            self.channels.close()
        self.channels = self.gateway.connect(self.kernel_id)

    def delete(self) -> None:
        """Click on shut down, once; nothing of the kernel is left then."""
        processes = self.processes()
        assert self.gateway.delete(self.kernel_id) == 204
        assert [each for each in processes if _runs(each)] == []
        assert self.files() == []
        wait_until(lambda: self.granted() == {}, self.cluster.state)

    # What others see of it.

    def status(self) -> dict[str, Any]:
        rows = self.gateway.request("GET", "/kg2at/status").body["kernels"]
        return dict(next(row for row in rows if row["kernel_id"] == self.kernel_id))

    def model(self) -> dict[str, Any]:
        return dict(self.gateway.request("GET", f"/api/kernels/{self.kernel_id}").body)

    def granted(self) -> dict[str, int]:
        """Return the cores of each of its applications at the master, by name."""
        apps = self.cluster.state()["activeapps"]
        return {app["name"]: app["cores"] for app in apps if self.kernel_id in app["name"]}

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.status()["pid"])

    def processes(self) -> list[psutil.Process]:
        """Return its own process and all that descend from it."""
        return [self.process, *self.process.children(recursive=True)]

    def jvm(self) -> psutil.Process:
        """Return its driver's JVM."""
        return next(each for each in self.processes() if _is_java(each))

    def has_jvm(self) -> bool:
        return any(map(_is_java, self.processes()))

    def files(self) -> list[str]:
        """Return the names of its files in the runtime directory, its record too."""
        return sorted(path.name for path in self.gateway.runtime.rglob("*") if self.kernel_id in path.name)

    def report(self) -> DriverReport:
        """Return what its driver has reported last."""
        content = (self.gateway.runtime / f"kernel-{self.kernel_id}.report").read_bytes()
        try:
            return parsed(content)
        except ValueError:
            return DriverReport()

    def reports(self, condition: Callable[[DriverReport], object]) -> DriverReport:
        """Wait for a report of which the condition holds."""
        found: list[DriverReport] = []

        def has_come() -> object:
            found.append(self.report())
            return condition(found[-1])

        wait_until(has_come, self.report)
        return found[-1]


def _is_java(process: psutil.Process) -> bool:
    """Whether it is a JVM; what has ended meanwhile is none: spark-submit starts some that live for a moment."""
    try:
        return process.name() == "java"
    except psutil.NoSuchProcess:
        return False


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def gone(processes: list[psutil.Process]) -> None:
    """Wait until all these have ended."""
    wait_until(lambda: not any(map(_runs, processes)), lambda: [each for each in processes if _runs(each)])
