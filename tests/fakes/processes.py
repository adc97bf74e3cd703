"""Processes to look at, with psutil and without; the fixtures are shared by conftest.py files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from kg2at_personality.system import processes
from kg2at_personality.system.foreign_process import ForeignProcess
from tests.fakes.wait import wait_until

Run = Callable[..., "subprocess.Popen[str]"]

MARK = "KG2AT_TEST_MARK"
SLEEP = ("sleep", "60")
#: Sleeps with the arguments it is given.
KERNEL = (sys.executable, "-c", "import time; time.sleep(60)")
PARENT = (sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '60'])")
STUBBORN = (
    *(sys.executable, "-c"),
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)",
)
NO_PIDS = [0, -1, -(2**31), 2**31 - 1, 2**31, 2**64, 10**30]
#: Of Linux (include/linux/sched.h), in the flags of /proc/PID/stat.
PF_EXITING = 0x4
NOBODY, SOMEBODY = 65534, 65533

only_psutil = pytest.mark.parametrize("mode", ["psutil"], indirect=True)
only_ps = pytest.mark.parametrize("mode", ["ps"], indirect=True)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes of others")


@pytest.fixture(params=["psutil", "ps"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """By what processes are looked at. For a module: pytest.mark.usefixtures."""
    if request.param == "ps":
        monkeypatch.setattr(processes, "psutil", None)
    return str(request.param)


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts processes, each in a group of its own, and ends them."""
    children: list[subprocess.Popen[str]] = []

    def start(*command: str, **kwargs: Any) -> subprocess.Popen[str]:
        children.append(subprocess.Popen(command, start_new_session=True, text=True, **kwargs))
        wait_until(lambda: has_begun(psutil.Process(children[-1].pid)), "its environment")
        return children[-1]

    yield start
    for child in children:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdout:
            child.stdout.close()


@pytest.fixture
def value(tmp_path: Path) -> str:
    return str(tmp_path)


@pytest.fixture
def connection_file(tmp_path: Path) -> str:
    return str(tmp_path / "kernel-one.json")


@pytest.fixture
def fake_ps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets another script be the only program on PATH; "" leaves none."""

    def install(script: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        if script:
            (folder / "ps").write_text(f"#!/bin/sh\n{script}\n")
            (folder / "ps").chmod(0o700)
        monkeypatch.setenv("PATH", str(folder))

    return install


@contextmanager
def nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def has_begun(child: psutil.Process) -> bool:
    """Popen returns while the kernel of Linux still sets up the environment that others see."""
    with suppress(psutil.NoSuchProcess):
        return child.status() == psutil.STATUS_ZOMBIE or bool(child.environ())
    return True


def adopt(child: subprocess.Popen[str]) -> ForeignProcess:
    """Adopt it, and reap it as whoever started it would."""
    began = processes.started_at(child.pid)
    assert began is not None
    threading.Thread(target=child.wait, daemon=True).start()
    return ForeignProcess(child.pid, began)


def environment(value: str, kernel_id: str | None = "one") -> dict[str, str]:
    env = {**os.environ, MARK: value}
    return env if kernel_id is None else {**env, "KERNEL_ID": kernel_id}


def kill(pid: int | None, signum: signal.Signals = signal.SIGKILL) -> None:
    """Signal a process that has to be there; the number 0 would mean all of this one's group."""
    assert pid
    os.kill(pid, signum)


def runs(pid: int) -> bool:
    """Return whether the process runs; a zombie doesn't, nor one that has no memory any more and is no zombie yet."""
    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False
        flags = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[6])
    except psutil.NoSuchProcess:
        return False
    except OSError:
        return psutil.pid_exists(pid)
    return not flags & PF_EXITING
