"""What kg2at costs beside the stock gateway. `make bench` runs this; `--quick` takes fewer rounds.

Both are measured in the same run and in turn (stock, kg2at, stock, ...), so that a busy machine is busy for both. Each
number is a median; what counts is how two of them compare. "Stock" is Kernel Gateway's own personality with the
kernelspec that `jupyter toree install` writes; "EG-like" is the same gateway with a kernelspec that launches Python on
Spark as Enterprise Gateway does. What only kg2at does is measured beside less of the same: stopping eight kernels
beside one, adopting 20 beside none; what a notebook waits for beside a client that talks to the kernel itself.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

import psutil
from jupyter_client.blocking.client import BlockingKernelClient

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from kg2at_personality.spark.installation import Installation  # noqa: E402
from kg2at_personality.spark.installation_finder import InstallationFinder  # noqa: E402
from kg2at_personality.spark.standalone import StandaloneCluster  # noqa: E402
from tests.bench_table import (  # noqa: E402
    ADOPTED,
    BURST,
    LIKE_EG,
    SIDES,
    STOPPED,
    CannotMeasure,
    Samples,
    fill,
    report,
    table,
)
from tests.fakes.channels import Channels  # noqa: E402
from tests.fakes.gateway_process import Answer, Gateway  # noqa: E402

STOCK, KG2AT = "kernel_gateway.jupyter_websocket", "kg2at_personality"
PERSONALITIES = {"stock": STOCK, "EG-like": STOCK, "kg2at": KG2AT}
#: kg2at's own name for its kernel; the stock gateway finds an installed one of that name.
KERNEL = "apache_toree_scala"
DEFAULTS = "spark.master local[1]\nspark.ui.enabled false\n"
#: The same for the stock gateway's kernelspec.
OPTIONS = "--master local[1] --conf spark.ui.enabled=false"
#: kg2at's own name for its Python kernel, which the EG-like gateway has too; and the first cell on both.
PYTHON, FIRST = "spark_python", "spark.range(1000).count()"
#: part -> how often it is done with --quick, and without.
ROUNDS = {"starts": (3, 10), "posts": (3, 10), "admissions": (3, 10), "lives": (1, 3), "stops": (2, 5)}
ROUNDS |= {"adoptions": (1, 3), "cells": (20, 60), "bursts": (4, 10), "python": (2, 5)}
#: A cell that does and shows nothing, by the kind of kernel.
NOTHING = {"python3": "", KERNEL: "()"}
#: How many cells a kernel runs before any is measured.
WARM = 10
BURST_CODE = f"for n in range({BURST}): display(n)"
#: Seconds between two looks at a gateway that starts or a kernel that ends: what that is measured to.
POLL = 0.005
DEATH_LIMIT = 60.0
MIB = 2**20


class Measured(Gateway):
    """A gateway whose requests wait, while it starts, until they are answered."""

    def request(self, *args: Any, **kwargs: Any) -> Answer:
        while True:
            try:
                return super().request(*args, **kwargs)
            except URLError:
                if self.process is None or self.process.poll() is not None:
                    raise
                time.sleep(POLL)

    def children(self) -> list[psutil.Process]:
        """Its kernels' processes."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def kernel_memory(self) -> float:
        """Resident MiB of its kernels' processes."""
        return sum(process.memory_info().rss for process in self.children()) / MIB

    def memory(self) -> float:
        """Resident MiB of the gateway itself."""
        assert self.process is not None
        return float(psutil.Process(self.process.pid).memory_info().rss / MIB)


class Bench:
    """Starts gateways and measures them. Leaves nothing behind."""

    def __init__(self, installation: Installation, scratch: Path) -> None:
        self.installation, self.scratch, self.samples = installation, scratch, Samples()
        self.toree = InstallationFinder().toree_for(installation.spark, os.environ).assembly
        self._made = 0

    def gateway(self, side: str, defaults: str = DEFAULTS, options: str = OPTIONS) -> Measured:
        """A gateway of that side, not started, in a directory of its own."""
        self._made += 1
        directory = self.scratch / f"{self._made:02}-{side}"
        gateway = Measured(directory, environ=self._environ(), defaults=defaults, personality=PERSONALITIES[side])
        kernels = directory / "data" / "kernels"
        if side == "stock":
            write_spec(kernels / KERNEL, self._toree_spec(options))
        elif side == "EG-like":
            write_spec(kernels / PYTHON, self._python_spec(options))
        return gateway

    def _environ(self) -> dict[str, str]:
        found = self.installation
        java = os.pathsep.join([os.path.join(found.java.home, "bin"), os.environ.get("PATH", "")])
        homes = {"SPARK_HOME": found.spark.home, "JAVA_HOME": found.java.home, "TOREE_HOME": self.toree}
        return homes | {"PATH": java}

    def _toree_spec(self, options: str) -> dict[str, Any]:
        """What `jupyter toree install` writes (toreeapp.py); by hand, since that ignores its --prefix."""
        home = Path(self.toree).parents[1]
        script = home / "bin" / "run.sh"
        if not script.is_file():
            raise CannotMeasure(f"The stock gateway needs {script}, which `pip install toree` brings.")
        return {
            "argv": [str(script), "--profile", "{connection_file}"],
            "env": {
                "DEFAULT_INTERPRETER": "Scala",
                "__TOREE_SPARK_OPTS__": options,
                "__TOREE_OPTS__": "",
                "SPARK_HOME": self.installation.spark.home,
            },
            "display_name": "Apache Toree - Scala",
            "language": "scala",
            "interrupt_mode": "signal",
            "metadata": {},
        }

    def _python_spec(self, options: str) -> dict[str, Any]:
        """In the way of Enterprise Gateway's spark_python_yarn_client, whose run.sh comes to the same command."""
        submit = Path(self.installation.spark.home, "bin", "spark-submit")
        return {
            "argv": [str(submit), *options.split(), str(ROOT / "tests" / "eg_launcher.py"), "{connection_file}"],
            "env": {"SPARK_HOME": self.installation.spark.home, "PYSPARK_PYTHON": sys.executable},
            "display_name": "Spark - Python",
            "language": "python",
            "metadata": {},
        }

    def starts(self, rounds: int) -> None:
        """How long a gateway takes to answer GET /api."""
        for gateway, side in self._in_turn(rounds):
            with self.samples.timed("start", side):
                gateway.start()
            gateway.stop()
            if (status := gateway.process and gateway.process.returncode) not in (0, -15):
                raise CannotMeasure(f"The {side} gateway ended with {status}:\n{gateway.log}")

    def _in_turn(self, rounds: int) -> Iterator[tuple[Measured, str]]:
        """A fresh gateway of each side, `rounds` times; ended when the caller is done with it."""
        for number in range(rounds):
            for side in SIDES:
                note(f"round {number + 1} of {rounds}, {side}")
                with ended(self.gateway(side)) as gateway:
                    yield gateway, side

    def posts(self, rounds: int) -> None:
        """How long POST takes, which answers when the process is spawned, without and with an environment."""
        self._post({"post": {}, "post_env": {"env": {}}}, rounds, DEFAULTS)

    def admissions(self, rounds: int) -> None:
        """The same on a standalone cluster with free cores, where kg2at asks the master first."""
        with self._cluster("admissions") as (_, defaults):
            self._post({"admission": {}}, rounds, defaults)

    @contextmanager
    def _cluster(self, part: str) -> Iterator[tuple[StandaloneCluster, str]]:
        """A standalone cluster of 2 cores, and the defaults that lead to it."""
        homes = self.installation.spark.home, self.installation.java.home
        with StandaloneCluster(*homes, cores=2, directory=self.scratch / f"cluster-{part}") as cluster:
            ui_port = cluster.ui_url.rpartition(":")[2]
            yield cluster, f"{DEFAULTS}\nspark.master {cluster.master_url}\nspark.master.ui.port {ui_port}\n"

    def _post(self, bodies: dict[str, dict[str, Any]], rounds: int, defaults: str) -> None:
        """Time POSTs with each of `bodies` (quantity -> body), each kernel ended before the next."""
        with ExitStack() as stack:
            gateways = {side: stack.enter_context(ended(self.gateway(side, defaults))) for side in SIDES}
            for gateway in gateways.values():
                gateway.start()
            for number in range(rounds):
                for quantity, body in bodies.items():
                    for side, gateway in gateways.items():
                        note(f"round {number + 1} of {rounds}, {side}")
                        with self.samples.timed(quantity, side):
                            kernel_id = gateway.start_kernel(KERNEL, **body)
                        with dying(gateway.children()):
                            gateway.delete(kernel_id)

    def lives(self, rounds: int) -> None:
        """A kernel's life from POST to DELETE, each in a fresh gateway."""
        for gateway, side in self._in_turn(rounds):
            gateway.start()
            with self.samples.timed("ready", side):
                kernel_id = gateway.start_kernel(KERNEL)
                channels = gateway.connect(kernel_id)
                reply = channels.ask("kernel_info_request", {})
            with self.samples.timed("cell", side):
                result = channels.run("1 + 1")
            if reply.get("status", "ok") != "ok" or "2" not in result.text:
                raise CannotMeasure(f"The {side} gateway's kernel did not add 1 and 1: {result}\n{gateway.log}")
            self.samples.add("memory", side, gateway.memory())
            channels.close()
            with dying(gateway.children()), self.samples.timed("delete", side):
                gateway.delete(kernel_id)

    def stops(self, rounds: int) -> None:
        """How long it takes until nothing is left of a kernel, and how well kg2at ends many at the same time."""
        self._stop(rounds)
        self._stop_side_by_side(rounds // 2)

    def _stop(self, rounds: int) -> None:
        """Stop kernels that hold a core of a cluster."""
        self._on_cluster("stops", SIDES, rounds, self._stop_one)

    def _on_cluster(
        self,
        part: str,
        sides: Iterable[str],
        rounds: int,
        measure: Callable[[Measured, str, StandaloneCluster], None],
    ) -> None:
        """Measure a gateway of each side in turn, on one cluster, where a kernel has one core."""
        with self._cluster(part) as (cluster, defaults), ExitStack() as stack:
            defaults += "spark.cores.max 1\n"  # which kg2at sets, and without which the other takes all
            options = f"--master {cluster.master_url} --conf spark.cores.max=1 --conf spark.ui.enabled=false"
            gateways = {side: stack.enter_context(ended(self.gateway(side, defaults, options))) for side in sides}
            for gateway in gateways.values():
                gateway.start()
            for number in range(rounds):
                for side, gateway in gateways.items():
                    note(f"round {number + 1} of {rounds}, {side}")
                    measure(gateway, side, cluster)

    def _stop_one(self, gateway: Measured, side: str, cluster: StandaloneCluster) -> None:
        kernel_id = used_kernel(gateway, KERNEL, "sc.parallelize(1 to 10).sum")
        wait_until(lambda: cluster.state()["coresused"] == 1, "The master did not show the kernel's core")
        processes = gateway.children()
        with dying(processes), ThreadPoolExecutor() as pool:
            with self.samples.timed("stop", side):
                answer = pool.submit(gateway.delete, kernel_id)
                wait_until(
                    lambda: cluster.state()["coresused"] == 0 and answer.done() and all(map(has_ended, processes)),
                    f"The {side} gateway's kernel did not end, or the master still has its core",
                )
            check_deleted(gateway, [answer.result()])

    def _stop_side_by_side(self, rounds: int) -> None:
        """Stop one kernel of a kg2at that has no other, and eight at the same time."""
        with ended(self.gateway("kg2at")) as gateway:
            gateway.start()
            for number in range(rounds):
                for side, count in STOPPED.items():
                    note(f"round {number + 1} of {rounds}, {side}")
                    kernel_ids = [used_kernel(gateway, KERNEL, "1 + 1") for _ in range(count)]
                    with dying(gateway.children()), ThreadPoolExecutor(count) as pool:
                        with self.samples.timed("stops", side):
                            answers = list(pool.map(gateway.delete, kernel_ids))
                        check_deleted(gateway, answers)

    def cells(self, rounds: int) -> None:
        """How long a cell takes that does nothing, from its request to its reply and idle status."""
        with ExitStack() as stack:
            notebooks = {side: self._notebook(stack, side, "python3") for side in SIDES}
            for _ in range(rounds):
                for side, (_, channels) in notebooks.items():
                    with self.samples.timed("small", side):
                        channels.run(NOTHING["python3"])
            self._beside_direct("python", rounds, *notebooks["kg2at"], NOTHING["python3"])
            self._beside_direct("toree", rounds, *self._notebook(stack, "kg2at", KERNEL), NOTHING[KERNEL])

    def _notebook(self, stack: ExitStack, side: str, name: str) -> tuple[Path, Channels]:
        """A kernel's connection file, and a notebook that has run a cell on it."""
        gateway = stack.enter_context(ended(self.gateway(side)))
        gateway.start()
        kernel_id = gateway.start_kernel(name)
        channels = gateway.connect(kernel_id)
        stack.callback(channels.close)
        for _ in range(WARM):
            channels.run("1 + 1")
        return gateway.runtime / f"kernel-{kernel_id}.json", channels

    def _beside_direct(self, quantity: str, rounds: int, connection: Path, channels: Channels, code: str) -> None:
        client = BlockingKernelClient(connection_file=str(connection))
        client.load_connection_file()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=DEATH_LIMIT)
            for _ in range(rounds):
                with self.samples.timed(quantity, "direct"):
                    client.execute_interactive(code, timeout=DEATH_LIMIT)
                with self.samples.timed(quantity, "kg2at"):
                    channels.run(code)
        finally:
            client.stop_channels()

    def bursts(self, rounds: int) -> None:
        """How long it takes until a notebook has all of what a cell shows in one go."""
        with ExitStack() as stack:
            notebooks = {side: self._notebook(stack, side, "python3") for side in SIDES}
            for _ in range(rounds):
                for side, (_, channels) in notebooks.items():
                    with self.samples.timed("burst", side):
                        result = channels.run(BURST_CODE)
                    if len(result.messages) < BURST:
                        raise CannotMeasure(f"A notebook got {len(result.messages)} of {BURST} outputs from {side}.")

    def python(self, rounds: int) -> None:
        """A Python kernel's life on a cluster, to its first answer of Spark, in a gateway for each side."""
        self._on_cluster("python", LIKE_EG, rounds, self._python)

    def _python(self, gateway: Measured, side: str, cluster: StandaloneCluster) -> None:
        """The first cell is sent as soon as the kernel is ready; the memory before is seen on the way."""
        with self.samples.timed("python_first", side):
            with self.samples.timed("python_ready", side):
                kernel_id = gateway.start_kernel(PYTHON)
                channels = gateway.connect(kernel_id)
                channels.ask("kernel_info_request", {})
            self.samples.add("python_unused", side, gateway.kernel_memory())
            result = channels.run(FIRST)
        self.samples.add("python_used", side, gateway.kernel_memory())
        channels.close()
        if "1000" not in result.text:
            raise CannotMeasure(f"The {side} gateway's kernel did not count: {result}\n{gateway.log}")
        with dying(gateway.children()):
            gateway.delete(kernel_id)
        wait_until(lambda: cluster.state()["coresused"] == 0, "The master still has a kernel's core")

    def adoptions(self, rounds: int) -> None:
        """How long kg2at takes from its start to its list of kernels: with none, and with those it adopts."""
        for number in range(rounds):
            note(f"round {number + 1} of {rounds}")
            with ended(self.gateway("kg2at")) as gateway:
                self._start_with(gateway, "none")
                kernel_ids = [used_kernel(gateway, "python3", "kept = 6 * 7") for _ in range(ADOPTED["twenty"])]
                # They are no children of the gateway that adopts them.
                with dying(gateway.children()), ended(gateway):
                    gateway.kill()
                    self._start_with(gateway, "twenty")
                    channels = gateway.connect(kernel_ids[0])
                    if "42" not in (result := channels.run("kept")).text:
                        raise CannotMeasure(f"An adopted kernel lost its variable: {result}\n{gateway.log}")
                    channels.close()

    def _start_with(self, gateway: Measured, side: str) -> None:
        with self.samples.timed("adoption", side):
            gateway.start()
            listed = gateway.request("GET", "/api/kernels").body
        if len(listed) != ADOPTED[side]:
            raise CannotMeasure(f"The gateway lists {len(listed)} kernels, not {ADOPTED[side]}:\n{gateway.log}")


def write_spec(directory: Path, spec: dict[str, Any]) -> None:
    directory.mkdir(parents=True)
    (directory / "kernel.json").write_text(json.dumps(spec))


def used_kernel(gateway: Measured, name: str, code: str) -> str:
    """Start a kernel that has run `code`, with nobody connected any more; its id."""
    kernel_id = gateway.start_kernel(name)
    channels = gateway.connect(kernel_id)
    result = channels.run(code)
    channels.close()
    if result.reply["status"] != "ok":
        raise CannotMeasure(f"A kernel could not run {code!r}: {result}\n{gateway.log}")
    return kernel_id


def check_deleted(gateway: Measured, statuses: list[int]) -> None:
    if set(statuses) != {204}:
        raise CannotMeasure(f"DELETE was answered with {statuses}:\n{gateway.log}")


def has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, or only waits to be reaped."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    """Raises CannotMeasure, with `otherwise`, when it is not met in time."""
    limit = time.monotonic() + DEATH_LIMIT
    while not condition():
        if time.monotonic() > limit:
            raise CannotMeasure(f"{otherwise}, within {DEATH_LIMIT:g} s.")
        time.sleep(POLL)


@contextmanager
def ended(gateway: Measured) -> Iterator[Measured]:
    """End the gateway, and what it forgot to end."""
    try:
        yield gateway
    finally:
        if gateway.process is not None and gateway.process.poll() is None:
            with dying(gateway.children()):
                gateway.stop()


@contextmanager
def dying(processes: list[psutil.Process]) -> Iterator[None]:
    """Wait, after the block, until all these are gone; kill what lives on."""
    try:
        yield
    finally:
        _, left = psutil.wait_procs(processes, timeout=DEATH_LIMIT)
        for process in left:
            note(f"{process} lived on, and is killed\n")
            process.kill()


def note(text: str) -> None:
    """A line of progress on a terminal; nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there too")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="put the table into that page, where marked")
    parser.add_argument("--only", choices=tuple(ROUNDS), help="measure only this part")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))  # as Ctrl-C: in good order
    scratch = Path(tempfile.mkdtemp(prefix="kg2at-bench-"))
    try:
        bench = Bench(InstallationFinder().find(os.environ), scratch)
        parts: dict[str, Callable[[int], None]] = {name: getattr(bench, name) for name in ROUNDS}
        for name, part in parts.items():
            if options.only in (None, name):
                part(ROUNDS[name][0 if options.quick else 1])
        note("")
        print("\n".join(table(bench.samples)))
        if options.json:
            options.json.write_text(json.dumps(report(bench.samples), indent=1) + "\n")
        if options.docs:
            fill(options.docs, bench.samples)
    except Exception as error:
        sys.exit(f"Could not measure. {type(error).__name__}: {error}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
