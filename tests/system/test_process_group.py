from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from kg2at_personality.system.process_group import KillTimes, kill_group, terminate_group
from tests.fakes.processes import runs
from tests.fakes.wait import until

pytestmark = [pytest.mark.gen_test(timeout=60), pytest.mark.timeout(90)]
LOG = logging.getLogger("tests.group")
#: Whatever a test makes of it.
KILLPG = os.killpg
#: Three processes that ignore SIGTERM.
STUBBORN = "trap '' TERM; sleep 60 & sleep 60 & wait"
#: Writes to $FILE when it gets a SIGTERM; takes a moment for that, as a JVM does.
TIDY = "trap 'sleep 0.1; echo tidied > $FILE; exit 0' TERM; touch $FILE; while :; do sleep 0.02; done"
#: Ends at a SIGTERM, which its child ignores.
STUBBORN_CHILD = "(trap '' TERM; exec sleep 60) & exec sleep 60"

Run = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts a shell script in a process group of its own."""
    children: list[subprocess.Popen[bytes]] = []

    def start(script: str, *, reaped: bool = True, **env: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(["sh", "-c", script], start_new_session=True, env={**os.environ, **env})
        children.append(child)
        if reaped:
            threading.Thread(target=child.wait, daemon=True).start()
        return child

    yield start
    for child in children:
        with suppress(ProcessLookupError):
            KILLPG(child.pid, signal.SIGKILL)
        child.wait()


def members(group: int) -> list[int]:
    """The pids of those that run in it."""
    found = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError):
            if os.getpgid(pid) == group and runs(pid):
                found.append(pid)
    return found


async def started(run: Run, script: str, size: int, **kwargs: Any) -> tuple[int, list[int]]:
    """The group of a script, when `size` processes run in it, and these."""
    child = run(script, **kwargs)
    await until(lambda: len(members(child.pid)) >= size, f"{size} processes")
    return child.pid, members(child.pid)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The signals that would be sent to groups."""
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "killpg", lambda *arguments: signals.append(arguments))
    return signals


def refuse(group: int, signum: int) -> None:
    raise PermissionError(139, "EDC5139I Operation not permitted.")


def told(caplog: Any) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOG.name]


async def test_all_of_a_group_are_killed_whatever_they_ignore(run: Run, caplog: Any) -> None:
    group, pids = await started(run, STUBBORN, 3)
    _, others = await started(run, STUBBORN, 3)
    assert await kill_group(group, LOG) is True
    assert not any(map(runs, pids)) and members(group) == []
    assert all(map(runs, others)), "another group is none of its business"
    assert told(caplog) == []


async def test_what_its_leader_left_behind_is_killed(run: Run) -> None:
    child = run("sleep 60 & sleep 60 & exit 0")
    await until(lambda: child.returncode is not None and len(members(child.pid)) == 2, "the end of the leader")
    assert await kill_group(child.pid, LOG) is True
    assert members(child.pid) == []


async def test_a_stopped_group_is_killed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    group, pids = await started(run, STUBBORN, 3)
    os.killpg(group, signal.SIGSTOP)
    assert await terminate_group(group, LOG, KillTimes(grace=0.1)) is True
    assert not any(map(runs, pids))


@pytest.mark.parametrize("end", [kill_group, terminate_group])
async def test_a_group_that_is_gone_is_gone(run: Run, end: Any, caplog: Any) -> None:
    child = run("exit 0")
    await until(lambda: child.returncode is not None, "its end")
    assert await end(child.pid, LOG) is True
    assert told(caplog) == []


async def test_no_group_is_nothing(sent: list[Any]) -> None:
    assert await kill_group(None, LOG) is True
    assert sent == []


@pytest.mark.parametrize("end", [kill_group, terminate_group])
async def test_the_gateways_own_group_is_never_signalled(sent: list[Any], end: Any) -> None:
    assert await end(os.getpgrp(), LOG) is True
    assert sent == []


async def test_those_that_nobody_reaps_are_gone(run: Run, caplog: Any) -> None:
    group, pids = await started(run, "exec sleep 60", 1, reaped=False)
    assert await kill_group(group, LOG) is True
    assert psutil.Process(pids[0]).status() == psutil.STATUS_ZOMBIE, "there was none to tell of"
    assert told(caplog) == []


async def test_one_that_lives_on_is_told_of(run: Run, sent: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    group, pids = await started(run, "exec sleep 60", 1)
    assert await kill_group(group, LOG, KillTimes(limit=1.0)) is False
    assert set(sent) == {(group, signal.SIGKILL)} and len(sent) > 1 and all(map(runs, pids))


@pytest.mark.parametrize("end", [kill_group, terminate_group])
async def test_one_that_may_not_be_signalled_is_left_with_a_line_in_the_log(
    run: Run, end: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    (group, pids), tries = await started(run, "exec sleep 60", 1), []
    monkeypatch.setattr(os, "killpg", lambda *arguments: (tries.append(arguments), refuse(*arguments)))
    assert await end(group, LOG) is False
    assert len(tries) <= 2, "it is no use to try again"
    [line] = told(caplog)
    assert str(group) in line and "EDC5139I" in line
    assert all(map(runs, pids))


async def test_one_that_may_not_be_signalled_any_more_is_left_too(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """SIGTERM was fine, but what it became is somebody else's."""
    group, _ = await started(run, STUBBORN, 3)
    monkeypatch.setattr(
        os, "killpg", lambda *arguments: (refuse if signal.SIGKILL in arguments else KILLPG)(*arguments)
    )
    assert await terminate_group(group, LOG, KillTimes(grace=0.1)) is False
    assert len(members(group)) == 3 and len(told(caplog)) == 1


async def test_who_heeds_sigterm_may_tidy_up(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    child = run(TIDY, FILE=str(file))
    await until(file.exists, "its handler")
    # Nobody waits longer than it takes: the test's own limit is shorter.
    assert await terminate_group(child.pid, LOG, KillTimes(grace=600)) is True
    assert file.read_text() == "tidied\n" and members(child.pid) == []
    assert child.wait(20) == 0, "it ended by itself"


async def test_who_is_killed_may_not(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "file"
    child = run(TIDY, FILE=str(file))
    await until(file.exists, "its handler")
    assert await kill_group(child.pid, LOG) is True
    assert file.read_text() == ""


@pytest.mark.parametrize(("script", "size"), [(STUBBORN, 3), (STUBBORN_CHILD, 2)])
async def test_who_does_not_heed_sigterm_is_killed_in_the_end(
    run: Run, script: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, pids = await started(run, script, size)
    assert await terminate_group(group, LOG, KillTimes(grace=0.2)) is True
    assert not any(map(runs, pids)) and members(group) == []
