"""A real Spark cluster for tests: a standalone master with one worker, quick to start."""

from __future__ import annotations

from pathlib import Path

from kg2at_personality.spark.installation import Installation
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.gateway_process import QUICK_JVM
from tests.fakes.ports import held_port

#: The cores of its worker.
CORES = 4


def quick_cluster(installation: Installation, directory: Path) -> StandaloneCluster:
    """Return one that is up inside its `with` block. Its master can be killed: it has its ports again."""
    (directory / "conf").mkdir()
    (directory / "conf" / "spark-env.sh").write_text(f"export SPARK_DAEMON_JAVA_OPTS='{QUICK_JVM}'\n")
    homes = installation.spark.home, installation.java.home
    return StandaloneCluster(*homes, cores=CORES, directory=directory, port=held_port(), webui_port=held_port())
