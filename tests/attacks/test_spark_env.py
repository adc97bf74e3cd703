"""Secrets that spark-env.sh gives to other programs: not in Toree's environment, nor on any command line.

spark-submit sources the script again (bin/load-spark-env.sh), so this is shown with Spark's own scripts, and a Java
that writes down what it was called with.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kg2at_personality.kernels.launch.plan import LaunchOptions, Plan
from kg2at_personality.kernels.launch.process_environment import environment
from kg2at_personality.kernels.launch.toree import ToreeRuntime
from kg2at_personality.spark.conf import SparkConfReader
from kg2at_personality.spark.installation import Installation, Java, Toree
from kg2at_personality.spark.installation_finder import InstallationFinder
from tests.fakes.installation import needs_spark

pytestmark = needs_spark

# As launcher.Main, it prints the command that spark-class is to run: itself (3.5: NUL and a new line go before).
JAVA = r"""#!/bin/sh
case "$*" in
*org.apache.spark.launcher.Main*) printf '\0\n%s\0' "$0" ;;
*) env -0 > "$RECORD" ;;
esac
"""
SCRIPT = """\
export SPARK_OPTS="--conf spark.my.password=hush"
SPARK_WORKER_OPTS=-Dpassword=hush
SPARK_DAEMON_JAVA_OPTS=-Dpassword=hush
PLAIN=$KERNEL_MARK
"""


@pytest.fixture
def launch(tmp_path: Path) -> Plan:
    java = tmp_path / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(JAVA)
    java.chmod(0o755)
    (tmp_path / "spark-env.sh").write_text(SCRIPT)
    toree = ToreeRuntime(Toree("/opt/toree.jar", "0.5.0", "2.12"))
    installation = Installation(InstallationFinder().spark({}), Java(str(java.parents[1]), "17", 17))
    made = Plan(SparkConfReader().read({}), installation, toree, "Scala", LaunchOptions())
    return replace(made, conf_dir=str(tmp_path))


def test_they_stay_out_of_the_kernels_environment(launch: Plan, tmp_path: Path) -> None:
    record = tmp_path / "record"
    given = {"PATH": os.environ["PATH"], "RECORD": str(record), "KERNEL_MARK": "mine"}
    env = environment(launch, given, "11-22")
    submit = f"{launch.installation.spark.home}/bin/spark-submit"
    subprocess.run([submit, "--class", "x", "x.jar"], env=env, check=True, timeout=60)
    seen = dict(item.split("=", 1) for item in record.read_text().split("\0") if item)
    assert (seen["PLAIN"], seen["KERNEL_ID"]) == ("mine", "11-22"), "all else of the script is there"
    assert not [name for name, value in seen.items() if "hush" in value]
