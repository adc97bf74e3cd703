"""A driver that is no kernel: a Python with a SparkContext."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kg2at_personality.spark.installation import Installation

DRIVER = """
import sys, time
from pyspark import SparkConf, SparkContext
conf = SparkConf().setMaster(sys.argv[1]).setAppName(sys.argv[2])
conf.set("spark.cores.max", "1").set("spark.executor.memory", "512m").set("spark.ui.enabled", "false")
conf.setAll(pair.split("=", 1) for pair in sys.argv[3:])
sc = SparkContext(conf=conf)
print("up", flush=True)
time.sleep(600)
"""


@contextmanager
def driver(
    installation: Installation, master_url: str, name: str, directory: Path, *properties: str
) -> Iterator[subprocess.Popen[str]]:
    """Run a Python and its JVM, in a process group of their own, with a SparkContext; `properties` are "key=value"."""
    dropped = ("KG_", "KG2AT_", "SPARK_")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    environ |= {"SPARK_HOME": installation.spark.home, "JAVA_HOME": installation.java.home}
    environ |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    argv = [sys.executable, "-c", DRIVER, master_url, name, *properties]
    with (
        (directory / "driver.log").open("wb") as log,
        subprocess.Popen(
            argv, env=environ, cwd=directory, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "up\n", (directory / "driver.log").read_text()
            yield process
        finally:
            os.killpg(process.pid, signal.SIGCONT)
            os.killpg(process.pid, signal.SIGKILL)
