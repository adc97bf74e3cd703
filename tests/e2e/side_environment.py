"""Virtual environments beside the checkout, with what can't live in its own."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: pip's options: quiet, and no word of a later pip.
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")


def side_environment(name: str, *packages: str, python: str = sys.executable) -> Path:
    """Return `.venv-NAME` with `packages`; installed once, which takes half a minute. `make clean` removes it."""
    directory = ROOT / f".venv-{name}"
    wanted, ready = "\n".join(packages), directory / "ready"
    directory.mkdir(exist_ok=True)
    with open(directory / "lock", "w") as lock:  # several processes run tests
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists() or ready.read_text() != wanted:
            _run(python, "-m", "venv", str(directory))
            _run(str(directory / "bin" / "python"), *PIP, "install", *packages)
            ready.write_text(wanted)
    return directory


def _run(*argv: str) -> None:
    ran = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert ran.returncode == 0, ran.stdout
