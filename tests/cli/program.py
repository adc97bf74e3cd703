"""The real program, in an environment that has nothing of this machine's Jupyter and Spark."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.forkserver import ForkServer
from tests.fakes.installation import add_pyspark, make_jar, make_java, make_python, make_spark
from tests.fakes.ports import held_port

ROOT = Path(__file__).parents[2]
MODULE = "kg2at_personality.cli"
DROPPED = ("KG_", "KG2AT_", "SPARK_", "JUPYTER_", "JAVA_", "TOREE_", "LC_", "LANG", "PYTHON")


SUBCOMMANDS = (
    "check.check_command",
    "config_command",
    "ports.ports_command",
    "status_command",
    "setup.setup_command",
    "setup.bundle_command",
    "cluster_command",
    "users_command",
)
commands = ForkServer(f"{MODULE}.app", *(f"{MODULE}.{name}" for name in SUBCOMMANDS))


def run(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path = ROOT, timeout: float = 200
) -> subprocess.CompletedProcess[bytes]:
    """`jupyter kg2at ARGV` with nothing to read, to its end; where Python itself is to begin in an odd way, no fork."""
    usual = {*os.environ.items(), ("PYTHONPATH", str(ROOT))}
    if any(name.startswith("PYTHON") for name, _ in env.items() - usual):
        options = {"cwd": cwd, "env": env, "stdin": subprocess.DEVNULL, "capture_output": True, "timeout": timeout}
        return subprocess.run([sys.executable, "-m", MODULE, *argv], **options)  # type: ignore[call-overload, no-any-return]
    return commands.run([MODULE, *argv], env, cwd, timeout)


@dataclass
class Ran:
    """How a run ended."""

    status: int
    out: str
    err: str
    raw: bytes = field(repr=False, default=b"")


class Place:
    """A directory with a fake Spark, Java, Toree and Python that suit each other, and the variables that lead there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.conf = directory / "conf"
        self.conf.mkdir()
        self.spark = make_spark(directory / "spark")
        add_pyspark(self.spark)
        self.python = make_python(directory / "python")
        self.java = make_java(directory / "java")
        self.toree = make_jar(directory / "toree" / "lib" / "toree-assembly-0.5.0-incubating.jar").parents[1]
        own = {"SPARK_HOME": self.spark, "JAVA_HOME": self.java, "TOREE_HOME": self.toree, "SPARK_CONF_DIR": self.conf}
        own |= {f"JUPYTER_{name.upper()}_DIR": directory / name for name in ("config", "data", "runtime")}
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
        self.environ |= {name: str(value) for name, value in own.items()}
        self.environ |= {
            "PYSPARK_PYTHON": str(self.python),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
            "HOME": str(directory),
        }
        self.environ |= {"KG_PORT": str(held_port()), "PYTHONPATH": str(ROOT), "COLUMNS": "300"}

    def defaults(self, text: str) -> Path:
        """Write spark-defaults.conf."""
        path = self.conf / "spark-defaults.conf"
        path.write_text(text, "utf-8")
        return path

    def script(self, text: str) -> Path:
        """Write spark-env.sh."""
        path = self.conf / "spark-env.sh"
        path.write_text(text)
        return path

    def run(self, *argv: str, timeout: float = 200, **environ: str) -> Ran:
        """`jupyter kg2at ARGV`; a traceback fails the test, whatever it was about."""
        ended = run(argv, self.environ | environ, self.directory, timeout)
        ran = Ran(ended.returncode, ended.stdout.decode(), ended.stderr.decode(), ended.stdout)
        assert "Traceback" not in ran.out + ran.err, ran
        return ran
