"""A process that another one started."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from kg2at_personality.kernels.kernel_processes import find
from kg2at_personality.system import processes
from kg2at_personality.system.foreign_process import UNKNOWN_STATUS, ForeignProcess
from kg2at_personality.system.ps import Ps
from tests.fakes.processes import (
    MARK,
    NO_PIDS,
    SLEEP,
    STUBBORN,
    Run,
    adopt,
    only_ps,
    only_psutil,
)
from tests.fakes.wait import wait_until

pytestmark = pytest.mark.usefixtures("mode")


def test_a_process_that_waits_to_be_reaped(run: Run, mode: str) -> None:
    child = run(*SLEEP)
    began = processes.started_at(child.pid)
    assert began is not None
    adopted = ForeignProcess(child.pid, began)
    child.kill()
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, "its end")
    # ps does not tell.
    assert (processes.started_at(child.pid) is None) == (mode == "psutil")
    assert (adopted.poll() == UNKNOWN_STATUS) == (mode == "psutil")
    adopted.kill()
    child.wait()
    assert adopted.poll() == UNKNOWN_STATUS


@pytest.mark.parametrize("pid", NO_PIDS)
def test_no_process_has_such_a_pid(pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes.started_at(pid) is None
    assert not processes.is_same(pid, time.time())
    adopted = ForeignProcess(pid, time.time())
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("signalled"))
    adopted.kill()
    assert adopted.poll() == adopted.wait(0) == UNKNOWN_STATUS


@only_ps
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("", "can't be run"),
        ("echo 'unknown option' >&2; exit 1", "failed with status 1: unknown option"),
        ("exit 2", "failed with status 2"),
        ("kill -9 $$", "failed with status -9"),
        ("while :; do :; done", "can't be run: .* timed out"),
        ("echo 'no time'", "'no time.*' is no"),
    ],
)
def test_a_ps_that_fails(
    script: str, reason: str, fake_ps: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    child = run(*SLEEP)
    adopted = adopt(child)
    fake_ps(script)
    monkeypatch.setattr(processes, "ps", Ps(limit=0.2 if "while" in script else 20))
    with pytest.raises(OSError, match=reason):
        processes.started_at(child.pid)
    with pytest.raises(OSError, match=reason):
        ForeignProcess(child.pid, time.time())
    with pytest.raises(OSError, match=reason):
        adopted.kill()
    assert adopted.poll() is None
    assert find({MARK: "1"}, {"one": "sleep"}) == []


def test_an_adopted_process_ends(run: Run) -> None:
    adopted = adopt(run(*SLEEP))
    assert adopted.poll() is None
    assert (adopted.returncode, adopted.stdin, adopted.stdout, adopted.stderr) == (None, None, None, None)
    adopted.terminate()
    assert adopted.wait(30) == adopted.wait() == adopted.poll() == adopted.returncode == UNKNOWN_STATUS
    adopted.send_signal(signal.SIGINT)


def test_wait_is_told_of_a_death(run: Run) -> None:
    child = run("cat", stdin=subprocess.PIPE)
    adopted = adopt(child)
    assert child.stdin is not None
    threading.Timer(0.1, child.stdin.close).start()
    assert adopted.wait() == UNKNOWN_STATUS


def test_wait_gives_up(run: Run) -> None:
    adopted = adopt(run(*SLEEP))
    with pytest.raises(subprocess.TimeoutExpired, match=f"process {adopted.pid}.* 0.1 seconds"):
        adopted.wait(timeout=0.1)
    assert adopted.poll() is None


def test_a_process_that_ignores_sigterm(run: Run) -> None:
    child = run(*STUBBORN, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    adopted = adopt(child)
    adopted.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        adopted.wait(timeout=0.1)
    adopted.kill()
    assert adopted.wait(30) == UNKNOWN_STATUS


def test_a_pid_that_is_somebody_elses_by_now(run: Run) -> None:
    child = run(*SLEEP)
    adopted = ForeignProcess(child.pid, time.time() - 100)
    adopted.kill()
    adopted.terminate()
    assert adopted.poll() == adopted.wait(0) == UNKNOWN_STATUS
    assert processes.started_at(child.pid) is not None


@only_ps
def test_a_pid_that_becomes_somebody_elses(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    child = run(*SLEEP)
    adopted = adopt(child)
    monkeypatch.setattr(processes, "started_at", lambda _: time.time() + 100)
    assert adopted.poll() is None
    adopted.kill()
    assert adopted.poll() == UNKNOWN_STATUS
    assert child.poll() is None


@only_psutil
def test_a_clock_that_is_set_ends_nobody(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    child = run(*SLEEP)
    adopted = adopt(child)
    monkeypatch.setattr(processes, "started_at", lambda _: time.time() + 100)
    assert adopted.poll() is None
    adopted.kill()
    assert adopted.wait(30) == UNKNOWN_STATUS


@only_ps
def test_polls_need_no_ps(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    adopted = adopt(run(*SLEEP))
    with monkeypatch.context() as patch:
        patch.setattr(Ps, "_run", lambda *_: pytest.fail("ran ps"))
        assert adopted.poll() is None


def test_a_process_that_ends_before_its_signal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    child = run(*SLEEP)
    adopted = adopt(child)
    real = os.kill

    def late(pid: int, signum: int) -> None:
        if signum:
            raise ProcessLookupError
        real(pid, signum)

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", late)
        adopted.kill()
