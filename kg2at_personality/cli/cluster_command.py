"""`jupyter kg2at cluster`: a Spark standalone cluster on this machine, for as long as the command runs."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

from traitlets import Int, Unicode

from ..errors import KG2ATError
from ..plural import counted
from ..spark.standalone import StandaloneCluster
from ..spark.units import MIB, parse_size
from .command import OK, WRONG, Command
from .jupyter_command import UsageError
from .output import print_json, say
from .progress import Progress

POLL = 0.5  # seconds between two looks at parent, master and workers
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Termination(BaseException):
    """A signal, or the end of the parent, ends the cluster."""


class ClusterApp(Command):
    """`cluster`: start master and workers, wait, end them."""

    name = "jupyter-kg2at-cluster"
    description = (
        "Run a Spark standalone master and its workers on this machine's loopback, until Ctrl-C, SIGTERM or the end of "
        "what started it. Standard output has the lines for spark-defaults.conf, all else goes to standard error."
    )
    examples = "jupyter kg2at cluster --workers 2 --cores 4 --memory 2g\njupyter kg2at cluster --port 7077"

    workers = Int(1, help="How many workers, 1 or more.").tag(config=True)
    cores = Int(0, help="Cores that each worker offers. 0: this machine's, shared out among the workers.").tag(
        config=True
    )
    memory = Unicode("2g", help="Memory that each worker offers its executors, as Spark writes it (512m, 4g).").tag(
        config=True
    )
    port = Int(0, help="Port of the master, the one in spark.master. 0: a free one.").tag(config=True)
    webui_port = Int(0, help="Port of the master's web UI, spark.master.ui.port. 0: a free one.").tag(config=True)
    start_timeout = Int(
        120, help="Seconds that master and workers have to come up. A busy machine needs longer than the usual ten."
    ).tag(config=True)

    aliases: ClassVar[Any] = {  # type: ignore[misc]
        **Command.aliases,
        "workers": "ClusterApp.workers",
        "cores": "ClusterApp.cores",
        "memory": "ClusterApp.memory",
        "port": "ClusterApp.port",
        "webui-port": "ClusterApp.webui_port",
        "start-timeout": "ClusterApp.start_timeout",
    }

    def run(self) -> int:
        """Start the cluster, and return when it has ended. Called for `cluster`."""
        self._check()
        parent = os.getppid()
        try:
            with _terminated_with(parent):
                return self._serve()
        except _Termination:
            say("Everything is stopped.")
            return OK

    def _check(self) -> None:
        """Raise UsageError for options that no cluster can have."""
        bounds = {"workers": (1, 1000), "cores": (0, 100_000), "start_timeout": (1, 86400)}
        for name, (low, high) in (bounds | dict.fromkeys(("port", "webui_port"), (0, 65535))).items():
            if not low <= getattr(self, name) <= high:
                option = name.replace("_", "-")
                raise UsageError(f"--{option}: {getattr(self, name)} is not between {low} and {high}")
        if self.port and self.port == self.webui_port:
            raise UsageError(f"--port and --webui-port are both {self.port}; they must differ")
        try:
            if parse_size(self.memory) < MIB:
                raise ValueError(f"{self.memory!r} is less than 1m, the least that a worker can offer")
        except ValueError as error:
            raise UsageError(f"--memory: {error}") from error

    def _serve(self) -> int:
        """Run the cluster until a signal. Raises KG2ATError when its master ends by itself, or does not come up."""
        finder = self.launcher.finder
        spark = finder.spark(os.environ)
        java, _ = finder.java(os.environ, spark)
        what = f"a master and {counted(self.workers, 'worker')}"
        say(f"Starting {what} of Spark {spark.version} on Java {java.version} ...")
        with Progress(sys.stderr) as progress, self._cluster(spark.home, java.home, progress) as cluster:
            progress.close()
            self._tell(cluster)
            try:
                return _watch(cluster)
            except _Termination:
                say("\nStopping ...")
                raise

    def _cluster(self, spark_home: str, java_home: str, progress: Progress) -> StandaloneCluster:
        wanted = counted(self.workers, "worker")
        return StandaloneCluster(
            spark_home,
            java_home,
            workers=self.workers,
            cores=self.cores or max(1, (os.cpu_count() or 1) // self.workers),
            memory=self.memory,
            timeout=self.start_timeout,
            port=self.port,
            webui_port=self.webui_port,
            progress=lambda registered: progress.show(f"{registered} of {wanted} registered"),
        )

    def _tell(self, cluster: StandaloneCluster) -> None:
        """Print the lines for spark-defaults.conf, and say how the cluster is used."""
        lines = {"spark.master": cluster.master_url, "spark.master.ui.port": cluster.ui_url.rpartition(":")[2]}
        if self.as_json:
            print_json(lines | {"ui": cluster.ui_url, "workers": self.workers, "cores": cluster.cores * self.workers})
        else:
            print("\n".join(f"{key} {value}" for key, value in lines.items()))
        sys.stdout.flush()
        offer = f"{counted(cluster.cores, 'core')} and {self.memory}"
        say(f"Each worker has {offer}; see {cluster.ui_url}. Ctrl-C ends it all.")


def _watch(cluster: StandaloneCluster) -> int:
    """Return WRONG when no worker is left; say which have ended. Raises KG2ATError when the master has."""
    told: set[str] = set()
    while True:
        time.sleep(POLL)
        for group in cluster.ended():
            name = group.log.stem
            if name == "master":
                raise KG2ATError(f"The master ended by itself:\n{group.tail()}")
            if name not in told:
                told.add(name)
                say(f"{name} ended by itself:\n{group.tail()}")
        if len(told) == cluster.workers:
            say("No worker is left.")
            return WRONG


@contextlib.contextmanager
def _terminated_with(parent: int) -> Iterator[None]:
    """Raise _Termination inside the block on a signal, or when `parent` ends; only once, while cleaning up goes on."""

    def terminate(signum: int, _frame: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise _Termination

    over = threading.Event()
    kept = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else []  # by nohup
    before = {each: signal.getsignal(each) for each in SIGNALS if each not in kept}
    for each in before:
        signal.signal(each, terminate)
    threading.Thread(target=_watch_parent, args=(parent, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        for each, handler in before.items():
            signal.signal(each, handler)


def _watch_parent(parent: int, over: threading.Event) -> None:
    """Send this process SIGTERM when `parent` is not its parent any more."""
    while not over.wait(POLL):
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
            return
