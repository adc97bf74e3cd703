"""What the system tells of processes."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from kg2at_personality.system import processes
from kg2at_personality.system.ps import SAME
from tests.fakes.processes import (
    SLEEP,
    Run,
    as_root,
    only_psutil,
)
from tests.fakes.wait import wait_until

pytestmark = pytest.mark.usefixtures("mode")


def test_a_start_is_now(run: Run) -> None:
    child = run(*SLEEP)
    began = processes.started_at(child.pid)
    assert began is not None
    assert abs(began - time.time()) <= SAME
    assert processes.is_same(child.pid, began)
    assert not processes.is_same(child.pid, began - 100)
    assert not processes.is_same(child.pid, began + 100)


@only_psutil
def test_both_ways_tell_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    began = processes.started_at(os.getpid())
    monkeypatch.setattr(processes, "psutil", None)
    assert began is not None
    assert processes.is_same(os.getpid(), began)


def test_a_dead_process_has_no_start(run: Run) -> None:
    child = run("true")
    child.wait()
    assert processes.started_at(child.pid) is None
    assert not processes.is_same(child.pid, time.time())


@only_psutil
def test_what_psutil_may_not_read_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: psutil.Process) -> str:
        raise psutil.AccessDenied(os.getpid())

    monkeypatch.setattr(psutil.Process, "status", refuse)
    with pytest.raises(OSError, match="psutil can't tell"):
        processes.started_at(os.getpid())


def test_it_works_where_psutil_is_not(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["psutil"] = None
from kg2at_personality.system import processes
assert processes.psutil is None
assert processes.started_at({os.getpid()}) is not None
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@only_psutil
def test_the_user_of_a_process_is_told_when_all_of_it_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    try:
        assert processes.own_user_of(child.pid) == getpass.getuser()
        assert processes.own_user_of(processes.LAST_PID) is None
        monkeypatch.setattr(os, "getuid", lambda: 2**31 - 3)
        assert processes.own_user_of(child.pid) is None
    finally:
        child.communicate()


@as_root
@only_psutil
def test_a_process_that_has_a_child_of_another_user_may_be_anybodys() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-S", "-c", "import subprocess; subprocess.run(['cat'], user=65534)"], stdin=subprocess.PIPE
    )
    try:
        wait_until(lambda: processes.own_user_of(parent.pid) is None, "its child", 30)
        assert parent.poll() is None
    finally:
        parent.communicate()
