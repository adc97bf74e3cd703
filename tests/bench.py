"""What kg2at costs beside the stock gateway. `make bench` runs this; `--quick` takes fewer rounds.

Both are measured in the same run and in turn (stock, kg2at, stock, ...), so that a busy machine is busy for both. Each
number is a median; what counts is the ratio. "Stock" is Kernel Gateway's own personality with the kernelspec that
`jupyter toree install` writes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from kg2at_personality.spark.home import Installation, InstallationFinder  # noqa: E402
from kg2at_personality.spark.standalone import StandaloneCluster  # noqa: E402
from tests.e2e.gateway import Answer, Gateway  # noqa: E402

SIDES = {"stock": "kernel_gateway.jupyter_websocket", "kg2at": "kg2at_personality"}
#: kg2at's own name for its kernel; the stock gateway finds an installed one of that name.
KERNEL = "apache_toree_scala"
DEFAULTS = "spark.master local[1]\nspark.ui.enabled false\n"
#: Seconds between two tries to reach a gateway that starts: what its start is measured to.
POLL = 0.005
DEATH_LIMIT = 60.0
MIB = 2**20


class CannotMeasure(Exception):
    """Something did not run; the message says what."""


@dataclass(frozen=True)
class Quantity:
    """One row of the table. `limit` bounds kg2at: a ratio to stock, or with `more` what it may have on top."""

    what: str
    unit: str
    limit: float | None = None
    more: bool = False

    def verdict(self, stock: float, kg2at: float) -> str:
        if self.limit is None:
            return ""
        return "ok" if (kg2at - stock if self.more else kg2at / stock) <= self.limit else "over"

    @property
    def bound(self) -> str:
        if self.limit is None:
            return ""
        return f"+{self.limit:g} {self.unit}" if self.more else f"{self.limit:g} x"


QUANTITIES = {
    "start": Quantity("gateway start, to the first answer", "ms", 1.1),
    "post": Quantity("POST /api/kernels, to 201", "ms", 1.1),
    "post_env": Quantity('POST with {"env": {}}, to 201', "ms", 1.1),
    "admission": Quantity("POST on a cluster with free cores", "ms", 5, more=True),
    "ready": Quantity("POST to kernel ready", "ms"),
    "cell": Quantity("first cell", "ms"),
    "memory": Quantity("the gateway's memory, one kernel", "MiB", 15, more=True),
    "delete": Quantity("DELETE of a ready kernel", "ms"),
}


@dataclass
class Samples:
    """All that was measured: quantity -> side -> values, in the order they were taken."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(self, quantity: str, side: str, value: float) -> None:
        self.values[quantity][side].append(value)

    @contextmanager
    def timed(self, quantity: str, side: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.add(quantity, side, (time.perf_counter() - began) * 1000)

    def median(self, quantity: str, side: str) -> float:
        return statistics.median(self.values[quantity][side])


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

    def memory(self) -> float:
        """Resident MiB of the gateway itself."""
        assert self.process is not None
        return float(psutil.Process(self.process.pid).memory_info().rss / MIB)


class Bench:
    """Starts gateways and measures them. Leaves nothing behind."""

    def __init__(self, installation: Installation, scratch: Path) -> None:
        self.installation, self.scratch, self.samples = installation, scratch, Samples()
        self._made = 0

    def gateway(self, side: str, defaults: str = DEFAULTS) -> Measured:
        """A gateway of that side, not started, in a directory of its own."""
        self._made += 1
        directory = self.scratch / f"{self._made:02}-{side}"
        gateway = Measured(directory, environ=self._environ(), defaults=defaults, personality=SIDES[side])
        if side == "stock":
            self._install_kernelspec(directory / "data" / "kernels" / KERNEL)
        return gateway

    def _environ(self) -> dict[str, str]:
        found = self.installation
        java = os.pathsep.join([os.path.join(found.java.home, "bin"), os.environ.get("PATH", "")])
        homes = {"SPARK_HOME": found.spark.home, "JAVA_HOME": found.java.home, "TOREE_HOME": found.toree.assembly}
        return homes | {"PATH": java}

    def _install_kernelspec(self, directory: Path) -> None:
        """What `jupyter toree install` writes (toreeapp.py); by hand, since that ignores its --prefix."""
        home = Path(self.installation.toree.assembly).parents[1]
        script = home / "bin" / "run.sh"
        if not script.is_file():
            raise CannotMeasure(f"The stock gateway needs {script}, which `pip install toree` brings.")
        spec = {
            "argv": [str(script), "--profile", "{connection_file}"],
            "env": {
                "DEFAULT_INTERPRETER": "Scala",
                "__TOREE_SPARK_OPTS__": "--master local[1] --conf spark.ui.enabled=false",
                "__TOREE_OPTS__": "",
                "SPARK_HOME": self.installation.spark.home,
            },
            "display_name": "Apache Toree - Scala",
            "language": "scala",
            "interrupt_mode": "signal",
            "metadata": {},
        }
        directory.mkdir(parents=True)
        (directory / "kernel.json").write_text(json.dumps(spec))

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
        homes = self.installation.spark.home, self.installation.java.home
        with StandaloneCluster(*homes, cores=2, directory=self.scratch / "cluster") as cluster:
            ui_port = cluster.ui_url.rpartition(":")[2]
            defaults = f"{DEFAULTS}\nspark.master {cluster.master_url}\nspark.master.ui.port {ui_port}\n"
            self._post({"admission": {}}, rounds, defaults)

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


def table(samples: Samples) -> list[str]:
    """The medians side by side."""
    rows = [("what (median)", "stock", "kg2at", "ratio", "limit", "")]
    for name, quantity in QUANTITIES.items():
        if name in samples.values:
            stock, kg2at = (samples.median(name, side) for side in SIDES)
            measured = [f"{value:.{0 if value >= 100 else 1}f} {quantity.unit}" for value in (stock, kg2at)]
            verdict = quantity.verdict(stock, kg2at)
            rows.append((quantity.what, *measured, f"{kg2at / stock:.2f}", quantity.bound, verdict))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def report(samples: Samples) -> dict[str, Any]:
    """The same for programs, with every value that was measured."""
    return {
        name: {
            "unit": quantity.unit,
            "limit": quantity.limit,
            "limit_is": "more" if quantity.more else "ratio",
            "medians": {side: samples.median(name, side) for side in SIDES},
            "verdict": quantity.verdict(*(samples.median(name, side) for side in SIDES)),
            "values": samples.values[name],
        }
        for name, quantity in QUANTITIES.items()
        if name in samples.values
    }


def fill(readme: Path, samples: Samples) -> None:
    """Put the table between the marks that README.md has for it."""
    begin, end = "<!-- bench -->\n", "<!-- /bench -->"
    head, found, rest = readme.read_text(encoding="utf-8").partition(begin)
    if not found or end not in rest:
        raise CannotMeasure(f"{readme} has no {begin.strip()} and {end} to fill.")
    text = "\n".join(["```", *table(samples), "```", ""])
    readme.write_text(head + begin + text + rest[rest.index(end) :], encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 starts, 3 POSTs of each kind, 1 whole kernel")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there too")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="put the table into that README, where marked")
    parser.add_argument("--only", choices=("starts", "posts", "admissions", "lives"), help="measure only this part")
    options = parser.parse_args()
    rounds = dict.fromkeys(("starts", "posts", "admissions"), 3 if options.quick else 10)
    rounds["lives"] = 1 if options.quick else 3
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))  # as Ctrl-C: in good order
    scratch = Path(tempfile.mkdtemp(prefix="kg2at-bench-"))
    try:
        bench = Bench(InstallationFinder().find(os.environ), scratch)
        parts: dict[str, Callable[[int], None]] = {name: getattr(bench, name) for name in rounds}
        for name, part in parts.items():
            if options.only in (None, name):
                part(rounds[name])
        note("")
        print("\n".join(table(bench.samples)))
        if options.json:
            options.json.write_text(json.dumps(report(bench.samples), indent=1) + "\n")
        if options.readme:
            fill(options.readme, bench.samples)
    except Exception as error:
        sys.exit(f"Could not measure. {type(error).__name__}: {error}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
