"""What ps tells."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kg2at_personality.system import processes
from kg2at_personality.system.ps import SAME, Ps, elapsed_seconds
from tests.fakes.processes import (
    SLEEP,
    Run,
    only_ps,
)

pytestmark = pytest.mark.usefixtures("mode")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00", 0),
        ("      00:07\n", 7),
        ("12:34", 754),
        ("01:00:00", 3600),
        ("23:59:59", 86399),
        ("1-00:00:00", 86400),
        ("10-01:02:03", 867723),
        ("365-00:00:01", 31536001),
    ],
)
def test_elapsed_time(text: str, seconds: int) -> None:
    assert elapsed_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "7", "-", "?", "1-02:03", "1-2-03:04:05", "1:2:3:4", "12:-3", "12:34 x", "Jan 01"]
)
def test_no_elapsed_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        elapsed_seconds(text)


@only_ps
def test_a_ps_that_finds_nobody(fake_ps: Callable[[str], None]) -> None:
    fake_ps("exit 1")
    assert processes.started_at(os.getpid()) is None


@only_ps
def test_a_ps_that_is_slow_once(fake_ps: Callable[[str], None], tmp_path: Path, run: Run) -> None:
    child = run(*SLEEP)
    began = processes.started_at(child.pid)
    slept = tmp_path / "slept"
    ps, sleep = shutil.which("ps"), shutil.which("sleep")
    fake_ps(f'if [ ! -e {slept} ]; then : > {slept}; {sleep} {SAME + 1}; fi; exec {ps} "$@"')
    assert began is not None
    assert processes.is_same(child.pid, began)
    assert slept.exists()


@only_ps
def test_a_ps_that_is_always_slow_is_believed(fake_ps: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "ps", Ps(tolerance=0))
    fake_ps("echo 01:40")
    began = processes.started_at(os.getpid())
    assert began is not None
    assert abs(time.time() - 100 - began) < 60


@only_ps
def test_a_process_that_begins_in_this_tick(fake_ps: Callable[[str], None]) -> None:
    # What ps of procps 4.0.2 prints then; its unsigned difference is below 0.
    fake_ps("echo 441077234-00:18:40")
    began = processes.started_at(os.getpid())
    assert began is not None
    assert abs(began - time.time()) <= SAME
