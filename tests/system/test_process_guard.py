"""Programs that do not outlive the one that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kg2at_personality.errors import KG2ATError
from kg2at_personality.system.process_guard import GuardedProcess
from kg2at_personality.system.time_limits import wait_until

ROOT = Path(__file__).parents[2]
#: Starts two sleeping processes and says so.
SCRIPT = "sleep 60 & echo up; wait"


def start(tmp_path: Path, script: str = SCRIPT) -> GuardedProcess:
    process = GuardedProcess(["/bin/sh", "-c", script], {"PATH": os.environ["PATH"], "ONE": "1"}, tmp_path / "log")
    assert wait_until(lambda: "up" in process.tail(), 30)
    return process


def test_it_runs_until_it_is_stopped_with_all_its_group(tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.running() and process.signal(0) and os.getpgid(process.pid) == process.pid
    process.stop()
    assert not process.running() and not process.signal(0)
    process.stop()


def test_it_has_its_own_environment_no_input_and_a_log(tmp_path: Path) -> None:
    process = start(tmp_path, "cat; env; echo a; echo b >&2; echo up")
    assert wait_until(lambda: not process.running(), 30)
    assert process.tail(3) == "a\nb\nup"
    assert "ONE=1" in process.tail(100) and "HOME=" not in process.tail(100)
    process.stop()


def test_what_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path, "trap '' TERM; echo up; while :; do sleep 60; done")
    process.stop(grace=0.1)
    assert not process.running() and not process.signal(0)


def test_a_group_that_can_t_be_ended_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(process, "signal", lambda signum: True)
        with pytest.raises(
            KG2ATError, match=rf"Process group {process.pid} can't be ended; its output is in {tmp_path}"
        ):
            process.stop(grace=0.1, kill_limit=0.1)
    process.stop()


@pytest.mark.parametrize(("orphaned", "last"), [("KILL", "up"), ("TERM", "asked to end")])
def test_it_ends_with_the_python_that_started_it(tmp_path: Path, orphaned: str, last: str) -> None:
    script = "trap 'echo asked to end; exit' TERM; echo up; while :; do sleep 0.1; done"
    program = f"""
import os, pathlib, time
from kg2at_personality.system.process_guard import GuardedProcess
log = pathlib.Path({str(tmp_path)!r}) / "log"
process = GuardedProcess(["/bin/sh", "-c", {script!r}], dict(os.environ), log, {orphaned!r})
print(process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        assert wait_until(lambda: "up" in (tmp_path / "log").read_text(), 30)
        parent.send_signal(signal.SIGKILL)
    assert wait_until(lambda: _is_gone(group), 30)
    assert (tmp_path / "log").read_text().splitlines()[-1] == last


def _is_gone(group: int) -> bool:
    """Whether nothing of the group lives; init may not have reaped it yet."""
    states = subprocess.run(["ps", "-A", "-o", "pgid=", "-o", "stat="], capture_output=True, text=True).stdout
    rows = [line.split() for line in states.splitlines()]
    return not any(int(pgid) == group and not state.startswith("Z") for pgid, state in rows)
