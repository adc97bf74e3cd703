"""A virtual environment beside the checkout with another Spark than the embedded one, and a Python that suits it."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: pip's options: quiet, and no word of a later pip.
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


@dataclass(frozen=True)
class SecondSpark:
    """`home` is its SPARK_HOME; `python` can run its notebooks and its workers."""

    home: Path
    python: Path


def second_spark(version: str, *packages: str) -> SecondSpark:
    """Return Spark `version` in `.venv-spark-VERSION`, with `packages`; installed once, which takes half a minute.

    `make clean` removes it.
    """
    directory = ROOT / f".venv-spark-{version}"
    wanted, ready = "\n".join((f"pyspark=={version}", *packages)), directory / "ready"
    directory.mkdir(exist_ok=True)
    with open(directory / "lock", "w") as lock:  # several processes run tests
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists() or ready.read_text() != wanted:
            _run(sys.executable, "-m", "venv", str(directory))
            _run(str(directory / "bin" / "python"), *PIP, "install", *wanted.split())
            ready.write_text(wanted)
    (home,) = directory.glob("lib/python3*/site-packages/pyspark")
    return SecondSpark(home, directory / "bin" / "python")


def _run(*argv: str) -> None:
    ran = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert ran.returncode == 0, ran.stdout
