"""What all parts need: gateways of each side, a cluster, and what was measured."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from kg2at_personality.spark.installation import Installation
from kg2at_personality.spark.installation_finder import InstallationFinder
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.bench.measured_gateway import Measured, ended, note
from tests.bench.quantities import ONE_WAITS, SIDES, WARM, CannotMeasure, Samples

STOCK, KG2AT = "kernel_gateway.jupyter_websocket", "kg2at_personality"
#: All other sides are kg2at.
PERSONALITIES = {"stock": STOCK, "EG-like": STOCK}
#: kg2at's own name for its kernel; the stock gateway finds an installed one of that name.
KERNEL = "apache_toree_scala"
#: kg2at's own name for its Python kernel, which the EG-like gateway has too.
PYTHON = "spark_python"
DEFAULTS = "spark.master local[1]\nspark.ui.enabled false\n"
#: The same for the stock gateway's kernelspec.
OPTIONS = "--master local[1] --conf spark.ui.enabled=false"
EG_LAUNCHER = Path(__file__).resolve().parents[1] / "eg_launcher.py"


class Bench:
    """Starts gateways and measures them. Leaves nothing behind."""

    def __init__(self, installation: Installation, scratch: Path) -> None:
        self.installation, self.scratch, self.samples = installation, scratch, Samples()
        self.toree = InstallationFinder().toree_for(installation.spark, os.environ).assembly
        #: What kg2at makes once for a machine, so that later starts are faster.
        self.cache = scratch / "cache"
        self._made = 0

    def gateway(self, side: str, defaults: str = DEFAULTS, options: str = OPTIONS) -> Measured:
        """A gateway of that side, not started, in a directory of its own."""
        self._made += 1
        directory = self.scratch / f"{self._made:02}-{side}"
        personality, environ = PERSONALITIES.get(side, KG2AT), self._environ(side)
        gateway = Measured(directory, environ=environ, defaults=defaults, personality=personality)
        kernels = directory / "data" / "kernels"
        if side == "stock":
            write_spec(kernels / KERNEL, self._toree_spec(options))
        elif side == "EG-like":
            write_spec(kernels / PYTHON, self._python_spec(options))
        return gateway

    def _environ(self, side: str) -> dict[str, str]:
        found = self.installation
        java = os.pathsep.join([os.path.join(found.java.home, "bin"), os.environ.get("PATH", "")])
        homes = {"SPARK_HOME": found.spark.home, "JAVA_HOME": found.java.home, "TOREE_HOME": self.toree}
        waiting = {KERNEL: 1} if side in (WARM, ONE_WAITS) else {}
        own = {"KG2AT_WARM_KERNELS": json.dumps(waiting), "KG2AT_CACHE_DIR": str(self.cache)}
        return homes | {"PATH": java} | own

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
            "argv": [str(submit), *options.split(), str(EG_LAUNCHER), "{connection_file}"],
            "env": {"SPARK_HOME": self.installation.spark.home, "PYSPARK_PYTHON": sys.executable},
            "display_name": "Spark - Python",
            "language": "python",
            "metadata": {},
        }

    def in_turn(self, rounds: int) -> Iterator[tuple[Measured, str]]:
        """A fresh gateway of each side, `rounds` times; ended when the caller is done with it."""
        for number in range(rounds):
            for side in SIDES:
                note(f"round {number + 1} of {rounds}, {side}")
                with ended(self.gateway(side)) as gateway:
                    yield gateway, side

    @contextmanager
    def cluster(self, part: str) -> Iterator[tuple[StandaloneCluster, str]]:
        """A standalone cluster of 2 cores, and the defaults that lead to it."""
        homes = self.installation.spark.home, self.installation.java.home
        with StandaloneCluster(*homes, cores=2, directory=self.scratch / f"cluster-{part}") as cluster:
            ui_port = cluster.ui_url.rpartition(":")[2]
            yield cluster, f"{DEFAULTS}\nspark.master {cluster.master_url}\nspark.master.ui.port {ui_port}\n"

    def on_cluster(
        self,
        part: str,
        sides: Iterable[str],
        rounds: int,
        measure: Callable[[Bench, Measured, str, StandaloneCluster], None],
        settle: Callable[[Measured, str], None] = lambda gateway, side: None,
    ) -> None:
        """Measure a gateway of each side in turn, on one cluster, where a kernel has one core.

        `settle` waits until a gateway does nothing any more that would make the next one slower.
        """
        with self.cluster(part) as (cluster, defaults), ExitStack() as stack:
            defaults += "spark.cores.max 1\n"  # which kg2at sets, and without which the other takes all
            options = f"--master {cluster.master_url} --conf spark.cores.max=1 --conf spark.ui.enabled=false"
            gateways = {side: stack.enter_context(ended(self.gateway(side, defaults, options))) for side in sides}
            for side, gateway in gateways.items():
                gateway.start()
                settle(gateway, side)
            for number in range(rounds):
                for side, gateway in gateways.items():
                    note(f"round {number + 1} of {rounds}, {side}")
                    measure(self, gateway, side, cluster)
                    settle(gateway, side)


def write_spec(directory: Path, spec: dict[str, Any]) -> None:
    directory.mkdir(parents=True)
    (directory / "kernel.json").write_text(json.dumps(spec))
