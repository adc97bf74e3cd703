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
from ..spark.units import parse_size
from .command import OK, WRONG, Command, UsageError
from .output import print_json

LOOK = 0.5  # seconds between two looks at parent, master and workers
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MIB = 2**20


class _Ended(BaseException):
    """Somebody wants the cluster to end."""


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
        """Called for `cluster`."""
        self._check()
        parent = os.getppid()
        try:
            with _ended_by(parent):
                return self._serve()
        except _Ended:
            say("Everything is stopped.")
            return OK

    def _check(self) -> None:
        """Raises UsageError for what no cluster can have."""
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
        """Run the cluster until a signal; if its master ends by itself, that is an error."""
        finder = self.launcher.finder
        spark = finder.spark(os.environ)
        java, _ = finder.java(os.environ, spark)
        what = f"a master and {counted(self.workers, 'worker')}"
        say(f"Starting {what} of Spark {spark.version} on Java {java.version} ...")
        progress = _Progress(self.workers)
        with progress, self._cluster(spark.home, java.home, progress) as cluster:
            progress.close()
            self._tell(cluster)
            try:
                return _watch(cluster)
            except _Ended:
                say("\nStopping ...")
                raise

    def _cluster(self, spark_home: str, java_home: str, progress: _Progress) -> StandaloneCluster:
        return StandaloneCluster(
            spark_home,
            java_home,
            workers=self.workers,
            cores=self.cores or max(1, (os.cpu_count() or 1) // self.workers),
            memory=self.memory,
            timeout=self.start_timeout,
            port=self.port,
            webui_port=self.webui_port,
            progress=progress,
        )

    def _tell(self, cluster: StandaloneCluster) -> None:
        """The lines for spark-defaults.conf."""
        lines = {"spark.master": cluster.master_url, "spark.master.ui.port": cluster.ui_url.rpartition(":")[2]}
        if self.as_json:
            print_json(lines | {"ui": cluster.ui_url, "workers": self.workers, "cores": cluster.cores * self.workers})
        else:
            print("\n".join(f"{key} {value}" for key, value in lines.items()))
        sys.stdout.flush()
        offer = f"{counted(cluster.cores, 'core')} and {self.memory}"
        say(f"Each worker has {offer}; see {cluster.ui_url}. Ctrl-C ends it all.")


def say(text: str) -> None:
    """A line for whoever watches. Nobody left to read it is no error."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


class _Progress:
    """A line that says how many workers are there: in place at a terminal, else one for each change."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.start, self.shown = wanted, time.monotonic(), ""
        self.in_place = sys.stderr.isatty()

    def __call__(self, registered: int) -> None:
        seconds = time.monotonic() - self.start
        text = f"{registered} of {counted(self.wanted, 'worker')} registered"
        text += f", {seconds:.0f} s" if self.in_place else ""
        if text != self.shown:
            self.shown = text
            with contextlib.suppress(OSError):
                print(f"\r{text}" if self.in_place else text, end="" if self.in_place else "\n", file=sys.stderr)
                sys.stderr.flush()

    def close(self) -> None:
        """End the line."""
        if self.in_place and self.shown:
            say("")
        self.in_place, self.shown = False, ""

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _watch(cluster: StandaloneCluster) -> int:
    """Return WRONG when the master has ended by itself; workers that have are told of."""
    told: set[str] = set()
    while True:
        time.sleep(LOOK)
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
def _ended_by(parent: int) -> Iterator[None]:
    """Inside, a signal or the end of `parent` raises _Ended, once: what cleans up is not disturbed."""

    def end(signum: int, _frame: object) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise _Ended

    over = threading.Event()
    kept = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else []  # by nohup
    before = {each: signal.getsignal(each) for each in SIGNALS if each not in kept}
    for each in before:
        signal.signal(each, end)
    threading.Thread(target=_end_with, args=(parent, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        for each, handler in before.items():
            signal.signal(each, handler)


def _end_with(parent: int, over: threading.Event) -> None:
    """Send this process SIGTERM when `parent` is not its parent any more."""
    while not over.wait(LOOK):
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
            return
