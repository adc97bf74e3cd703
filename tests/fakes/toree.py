"""A Toree without a JVM: a SPARK_HOME whose spark-submit is tests/fakes/spark_submit.py, and a gateway that uses it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zmq

from kg2at_personality.kernels.kernel import GatewayKernel
from tests.fakes.app import Client
from tests.fakes.installation import add_pyspark, make_jar, make_java, make_launcher, make_spark, write_submit
from tests.fakes.processes import runs
from tests.fakes.wait import until

SUBMIT = Path(__file__).with_name("spark_submit.py")
#: Ends a kernel that won't by itself in 0.2 s, looks for dead ones every 0.1 s.
QUICK = {"KernelManager": {"shutdown_wait_time": 0.2}, "KernelRestarter": {"time_to_dead": 0.1}}


class FakeSpark:
    """Spark, Java and Toree's assembly below `root`, and Jupyter's directories, all the test's own."""

    def __init__(self, root: Path) -> None:
        self.root, self.conf, self.runtime = root, root / "conf", root / "RUNTIME"
        self.submit = root / "spark" / "bin" / "spark-submit"
        self.records = root / "records"
        for path in (self.conf, self.records, *(root / name for name in ("RUNTIME", "DATA", "CONFIG"))):
            path.mkdir(exist_ok=True)
        self._install()
        self.defaults()

    def _install(self) -> None:
        """Make the files by which kg2at knows Spark, Java and Toree; spark-submit runs."""
        make_spark(self.root / "spark")
        self.submit.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{SUBMIT}" "$@"\n')
        self.submit.chmod(0o755)
        make_java(self.root / "java")
        make_jar(self.root / "toree" / "lib" / "toree-assembly-0.5.0-incubating.jar")

    def launch_by_java(self) -> None:
        """Have a Java that Spark's launcher answers in, and that runs Toree, as does Spark's own spark-submit."""
        make_launcher(self.root / "java", otherwise=f'exec "{sys.executable}" "{SUBMIT}" "$@"')
        write_submit(self.root / "spark")
        spark_class = self.submit.with_name("spark-class")
        spark_class.write_text(f'#!/bin/sh\nshift\nexec "{sys.executable}" "{SUBMIT}" "$@"\n')
        spark_class.chmod(0o755)

    def become(self, version: str, scala: str = "2.12", pyspark: bool = True) -> None:
        """Be another Spark, with PySpark or without."""
        shutil.rmtree(self.root / "spark")
        make_spark(self.root / "spark", version, scala)
        if pyspark:
            add_pyspark(self.root / "spark", version)

    @property
    def environ(self) -> dict[str, str]:
        """The variables that lead a gateway here."""
        return {
            "SPARK_HOME": str(self.root / "spark"),
            "JAVA_HOME": str(self.root / "java"),
            "TOREE_HOME": str(self.root / "toree"),
            "SPARK_CONF_DIR": str(self.conf),
            "SPARK_FAKE_RECORDS": str(self.records),
            **{f"JUPYTER_{name}_DIR": str(self.root / name) for name in ("RUNTIME", "DATA", "CONFIG")},
        }

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> FakeSpark:
        """Set these variables, and take away those that would lead elsewhere."""
        for name in [name for name in os.environ if name.startswith(("SPARK_", "KG_", "KG2AT_"))]:
            monkeypatch.delenv(name)
        for name, value in self.environ.items():
            monkeypatch.setenv(name, value)
        return self

    def __enter__(self) -> FakeSpark:
        return self

    def __exit__(self, *exc: object) -> None:
        """End what a failed test left."""
        for pid in self.living():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def defaults(self, *lines: str, master: str = "local[2]") -> None:
        """Write spark-defaults.conf."""
        (self.conf / "spark-defaults.conf").write_text("\n".join([f"spark.master {master}", *lines, ""]))

    def gate(self) -> Gate:
        """Make each Toree wait until the gate is opened."""
        gate = Gate(self.root / "gate")
        self.defaults(f"spark.fake.gate {gate.path}")
        return gate

    def launches(self, kernel_id: str = "*") -> list[dict[str, Any]]:
        """Return what each spark-submit of `kernel_id` recorded, in order."""
        return [json.loads(path.read_text()) for path in sorted(self.records.glob(f"{kernel_id}.*.json"))]

    async def launched(self, kernel_id: str, times: int = 1) -> dict[str, Any]:
        """Wait until spark-submit has been called `times` times; return what it recorded then."""
        await until(lambda: len(self.launches(kernel_id)) >= times, f"launch {times} of {kernel_id}")
        return self.launches(kernel_id)[times - 1]

    def interrupts(self, kernel_id: str) -> list[str]:
        """Return the names of the signals that a Toree took for interrupts."""
        path = self.records / f"{kernel_id}.interrupts"
        return path.read_text().split() if path.exists() else []

    def learned(self, kernel_id: str) -> int:
        """Return how many processes of a Toree have learned to be interrupted."""
        path = self.records / f"{kernel_id}.learned"
        return len(path.read_text().split()) if path.exists() else 0

    def warmed(self, kernel_id: str) -> int:
        """Return how many cells have warmed a Toree that waited."""
        path = self.records / f"{kernel_id}.warmed"
        return len(path.read_text().split()) if path.exists() else 0

    def taken(self, kernel_id: str) -> dict[str, Any] | None:
        """Return the `env` and `properties` that a Toree has taken for its user; None when it has none."""
        path = self.records / f"{kernel_id}.taken"
        return dict(json.loads(path.read_text())) if path.exists() else None

    def left(self) -> list[str]:
        """Return the names of the kernels' files that are still there."""
        return sorted(path.name for path in self.runtime.glob("kernel-*")) if self.runtime.exists() else []

    def living(self) -> list[int]:
        """Return the pids of all launches that still run."""
        return [launch["pid"] for launch in self.launches() if runs(launch["pid"])]


class Gate:
    """A FIFO that kernels wait at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)

    def open(self) -> None:
        """Let the kernels that wait go on; returns at once."""
        threading.Thread(target=self.path.write_text, args=("",), daemon=True).start()


def slowly(stream: Any) -> Any:
    """Return a kernel's stream that finds a new process a second after others do."""
    address = stream.socket.LAST_ENDPOINT
    stream.socket.disconnect(address)
    stream.socket.setsockopt(zmq.RECONNECT_IVL, 1500)
    stream.socket.connect(address)
    return stream


def reported(**changes: Any) -> bytes:
    """Return a report as a driver writes it: with blanks at its end."""
    told = {"is_starting": False, "app_id": "app-1", "jobs": 0, "tasks": 0, "executors": 1, "streams": 0}
    return json.dumps(told | {"idle_since": None, "ui_port": 0, "has_https": False} | changes).ljust(512).encode()


async def start(gateway: Client, **arguments: Any) -> tuple[str, GatewayKernel]:
    """Start a Toree; return its id and its manager."""
    kernel_id = await gateway.app.kernel_manager.start_kernel(kernel_name="apache_toree_scala", **arguments)
    return kernel_id, gateway.app.kernel_manager.get_kernel(kernel_id)
