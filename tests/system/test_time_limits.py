"""Programs, functions and conditions that get a limited time."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from kg2at_personality.system.processes import exists
from kg2at_personality.system.time_limits import run_within, wait_until, within


def test_each_function_has_its_result() -> None:
    def fail() -> int:
        raise KeyError("no")

    found = within(10, {"good": lambda: 5, "bad": fail})
    assert found["good"] == 5 and isinstance(found["bad"], KeyError)
    assert within(10, {}) == {}


def test_functions_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=30)
    assert set(within(30, {"one": both.wait, "two": both.wait}).values()) == {0, 1}


def test_a_slow_function_counts_as_a_timeout_for_good() -> None:
    over = threading.Event()
    found = within(1, {"slow": over.wait, "fast": lambda: True})
    over.set()
    assert isinstance(found["slow"], TimeoutError) and str(found["slow"]) == "no answer within 1 s"
    assert found["fast"] is True


def test_a_program_s_status_and_its_errors(tmp_path: Path) -> None:
    with (tmp_path / "errors").open("w+b") as errors:
        script = "cat; echo $ONE >&2; exit 3"
        assert run_within(10, ["/bin/sh", "-c", script], env={"ONE": "1"}, stderr=errors) == 3
        errors.seek(0)
        assert errors.read() == b"1\n"
    assert run_within(10, ["/bin/sh", "-c", "kill -KILL $$"]) == -signal.SIGKILL
    with pytest.raises(FileNotFoundError):
        run_within(10, [str(tmp_path / "missing")])


def test_a_program_that_is_slow_is_killed_with_its_children(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/child; wait"
    with pytest.raises(subprocess.TimeoutExpired):
        run_within(2.0, ["/bin/sh", "-c", script])
    child = int((tmp_path / "child").read_text())
    assert wait_until(lambda: not exists(child) or _is_zombie(child), 30)


def test_a_refused_signal_leaves_the_program_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[int] = []

    def refuse(group: int, signum: int) -> None:
        refused.append(group)
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "killpg", refuse)
        with pytest.raises(subprocess.TimeoutExpired):
            run_within(0.2, ["/bin/sh", "-c", "sleep 60"])
    [group] = refused
    os.killpg(group, signal.SIGKILL)
    os.waitpid(group, 0)


def _is_zombie(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip().startswith("Z") or not state.stdout.strip()


def test_a_condition_is_looked_at_until_it_holds() -> None:
    looks: list[int] = []
    assert wait_until(lambda: looks.append(1) or len(looks) == 3, 10, poll=0.001)  # type: ignore[func-returns-value]
    assert len(looks) == 3


def test_a_condition_that_never_holds_is_looked_at_once_at_least() -> None:
    looks: list[int] = []
    assert not wait_until(lambda: bool(looks.append(1)), 0, poll=0.001)  # type: ignore[func-returns-value]
    assert looks
