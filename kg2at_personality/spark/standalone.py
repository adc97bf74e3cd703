"""A real Spark standalone cluster on this machine's loopback, for tests, demos and trying things out.

The master and each worker are a `GuardedProcess`: they end with the cluster, and when this Python is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import InstallationError, KG2ATError
from ..system.free_ports import free_ports
from ..system.process_guard import GuardedProcess
from ..system.time_limits import wait_until

HOST = "127.0.0.1"
# What a JVM may see of this machine's environment: no SPARK_*, no JAVA_TOOL_OPTIONS, no secrets.
_ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "LIBPATH", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER", "_BPXK_AUTOCVT")


class StandaloneCluster:
    """A standalone master and its workers, up inside the `with` block and gone after it.

    `workers` workers offer `cores` cores and `memory` (as Spark writes sizes: "4g") each. Logs and work files go below
    `directory`, or a temporary one that is removed. Each wait for the cluster takes at most `timeout` seconds.
    `port` is the master's and `webui_port` that of its web UI; 0 takes a free one. `progress` is called with the
    number of registered workers, at each poll of a wait.
    """

    def __init__(
        self,
        spark_home: str | os.PathLike[str],
        java_home: str | os.PathLike[str],
        workers: int = 1,
        cores: int = 4,
        memory: str = "4g",
        directory: str | os.PathLike[str] | None = None,
        timeout: float = 120.0,
        port: int = 0,
        webui_port: int = 0,
        progress: Callable[[int], None] = lambda registered: None,
    ) -> None:
        self.spark_home, self.java_home = Path(spark_home), Path(java_home)
        self.workers, self.cores, self.memory, self.timeout = workers, cores, memory, timeout
        self._wanted_directory, self._wanted_ports, self._progress = directory, (port, webui_port), progress
        self._ports = self._wanted_ports
        self._master: GuardedProcess | None = None
        self._workers: list[GuardedProcess] = []

    @property
    def master_url(self) -> str:
        """The value for `spark.master`."""
        return f"spark://{HOST}:{self._ports[0]}"

    @property
    def ui_url(self) -> str:
        """The master's web UI, without a slash at the end."""
        return f"http://{HOST}:{self._ports[1]}"

    def state(self) -> dict[str, Any]:
        """Return the master's JSON of itself, its workers and applications. Raises OSError or ValueError."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{self.ui_url}/json/", timeout=20.0) as answer:
            return dict(json.load(answer))

    def __enter__(self) -> StandaloneCluster:
        if not (self.spark_home / "bin" / "spark-class").exists():
            raise InstallationError(f"{self.spark_home} is no Spark: it has no bin/spark-class.")
        self.directory = Path(self._wanted_directory or tempfile.mkdtemp(prefix="kg2at-cluster-")).absolute()
        try:
            (self.directory / "conf").mkdir(parents=True, exist_ok=True)
            self._start_master_somewhere()
            self._workers.extend(map(self._launch_worker, range(1, self.workers + 1)))
            self._wait_for(self.workers)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything this cluster started. Idempotent. Raises KG2ATError for what can't be ended."""
        groups, self._workers, self._master = [*self._workers, self._master], [], None
        with contextlib.ExitStack() as cleanup:
            if self._wanted_directory is None:
                cleanup.callback(shutil.rmtree, self.directory, ignore_errors=True)
            for group in filter(None, groups):
                group.signal(signal.SIGTERM)
                cleanup.callback(group.stop)

    def ended(self) -> list[GuardedProcess]:
        """Return the master and the workers that have ended by themselves."""
        return [group for group in (self._master, *self._workers) if group and not group.running()]

    def kill_master(self) -> None:
        """Kill the master, as a crash would. The workers stay and try to reach it; its log stays."""
        if self._master:
            self._master.signal(signal.SIGKILL)
            self._master.stop()
            self._master = None

    def start_master(self) -> None:
        """Start the master again on its old ports and wait until the workers are back, which takes up to 15 s."""
        self._master = self._master or self._launch_master()
        self._wait_for(self.workers)

    def _start_master_somewhere(self) -> None:
        """Start the master, on other ports when another program takes a free one first."""
        for attempts_left in (2, 1, 0):
            self._ports = _choose_ports(*self._wanted_ports)
            self._master = self._launch_master()
            try:
                return self._wait_for(workers=0)
            except KG2ATError:
                if not attempts_left or all(self._wanted_ports) or "BindException" not in self._master.tail(40):
                    raise
            self._master.stop()

    def _launch_master(self) -> GuardedProcess:
        ports = ("-p", str(self._ports[0]), "--webui-port", str(self._ports[1]))
        return self._spark_class("master", "master.Master", "-h", HOST, *ports)

    def _launch_worker(self, number: int) -> GuardedProcess:
        size = ("-c", str(self.cores), "-m", self.memory, "-d", str(self.directory / f"work-{number}"), "-h", HOST)
        return self._spark_class(f"worker-{number}", "worker.Worker", *size, "--webui-port", "0", self.master_url)

    def _spark_class(self, name: str, deployed: str, *arguments: str) -> GuardedProcess:
        env = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
        env |= {"SPARK_HOME": str(self.spark_home), "JAVA_HOME": str(self.java_home), "SPARK_LOCAL_IP": HOST}
        env |= {"SPARK_CONF_DIR": str(self.directory / "conf"), "SPARK_NO_DAEMONIZE": "1"}
        env |= {"SPARK_MASTER_OPTS": "-Dspark.port.maxRetries=0"}  # on these ports or not at all
        argv = [str(self.spark_home / "bin" / "spark-class"), f"org.apache.spark.deploy.{deployed}", *arguments]
        return GuardedProcess(argv, env, self.directory / f"{name}.log")

    def _wait_for(self, workers: int) -> None:
        """Wait until our master answers and has this many workers. Raises KG2ATError with the last lines of a log."""
        if not wait_until(lambda: self._has(workers), self.timeout):
            last = [group for group in (self._master, *self._workers) if group][-1]
            raise KG2ATError(f"The Spark cluster is not up after {self.timeout:g} s:\n{last.tail()}")

    def _has(self, workers: int) -> bool:
        """Tell whether our master answers and has this many workers. Raises KG2ATError when a process has ended."""
        if ended := self.ended():
            raise KG2ATError(f"The Spark cluster's {ended[0].log.stem} ended by itself:\n{ended[0].tail()}")
        with contextlib.suppress(OSError, ValueError):  # not listening yet, or still starting
            state = self.state()
            alive = [worker for worker in state["workers"] if worker["state"] == "ALIVE"]
            if state["url"] == self.master_url:
                self._progress(len(alive))
                return len(alive) == workers
        return False


def _choose_ports(*wanted: int) -> tuple[int, int]:
    """Return two ports to listen on: those wanted, and a free one for each 0. Raises KG2ATError for one in use."""
    try:
        first, second = free_ports(HOST, *wanted)
    except OSError as error:
        port = error.filename.capitalize()
        raise KG2ATError(f"{port} can't be had: {error.strerror}. Give another, or 0 for a free one.") from error
    return first, second
