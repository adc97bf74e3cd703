from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from kg2at_personality.kernels.kernel_processes import KernelProcess, find
from kg2at_personality.system import processes as process
from kg2at_personality.system.foreign_process import UNKNOWN_STATUS, ForeignProcess
from kg2at_personality.system.ps import SAME, Ps, elapsed_seconds

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
NOBODY, SOMEBODY = 65534, 65533

only_psutil = pytest.mark.parametrize("mode", ["psutil"], indirect=True)
only_ps = pytest.mark.parametrize("mode", ["ps"], indirect=True)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes of others")


@pytest.fixture(params=["psutil", "ps"], autouse=True)
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "ps":
        monkeypatch.setattr(process, "psutil", None)
    return str(request.param)


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts processes, each in a group of its own, and ends them."""
    children: list[subprocess.Popen[str]] = []

    def start(*command: str, **kwargs: Any) -> subprocess.Popen[str]:
        children.append(subprocess.Popen(command, start_new_session=True, text=True, **kwargs))
        until(lambda: has_begun(psutil.Process(children[-1].pid)))
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


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 10
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
    return result


def has_begun(child: psutil.Process) -> bool:
    """Popen returns while the kernel of Linux still sets up the environment that others see."""
    with suppress(psutil.NoSuchProcess):
        return child.status() == psutil.STATUS_ZOMBIE or bool(child.environ())
    return True


def adopt(child: subprocess.Popen[str]) -> ForeignProcess:
    """Adopt it, and reap it as whoever started it would."""
    began = process.started_at(child.pid)
    assert began is not None
    threading.Thread(target=child.wait, daemon=True).start()
    return ForeignProcess(child.pid, began)


def environment(value: str, kernel_id: str | None = "one") -> dict[str, str]:
    env = {**os.environ, MARK: value}
    return env if kernel_id is None else {**env, "KERNEL_ID": kernel_id}


# When they began.


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


def test_a_start_is_now(run: Run) -> None:
    child = run(*SLEEP)
    began = process.started_at(child.pid)
    assert began is not None
    assert abs(began - time.time()) <= SAME
    assert process.is_same(child.pid, began)
    assert not process.is_same(child.pid, began - 100)
    assert not process.is_same(child.pid, began + 100)


@only_psutil
def test_both_ways_tell_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    began = process.started_at(os.getpid())
    monkeypatch.setattr(process, "psutil", None)
    assert began is not None
    assert process.is_same(os.getpid(), began)


def test_a_dead_process_has_no_start(run: Run) -> None:
    child = run("true")
    child.wait()
    assert process.started_at(child.pid) is None
    assert not process.is_same(child.pid, time.time())


def test_a_process_that_waits_to_be_reaped(run: Run, mode: str) -> None:
    child = run(*SLEEP)
    began = process.started_at(child.pid)
    assert began is not None
    adopted = ForeignProcess(child.pid, began)
    child.kill()
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    # ps does not tell.
    assert (process.started_at(child.pid) is None) == (mode == "psutil")
    assert (adopted.poll() == UNKNOWN_STATUS) == (mode == "psutil")
    adopted.kill()
    child.wait()
    assert adopted.poll() == UNKNOWN_STATUS


@pytest.mark.parametrize("pid", NO_PIDS)
def test_no_process_has_such_a_pid(pid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert process.started_at(pid) is None
    assert not process.is_same(pid, time.time())
    adopted = ForeignProcess(pid, time.time())
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("signalled"))
    adopted.kill()
    assert adopted.poll() == adopted.wait(0) == UNKNOWN_STATUS


@only_psutil
def test_what_psutil_may_not_read_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: psutil.Process) -> str:
        raise psutil.AccessDenied(os.getpid())

    monkeypatch.setattr(psutil.Process, "status", refuse)
    with pytest.raises(OSError, match="psutil can't tell"):
        process.started_at(os.getpid())


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
    monkeypatch.setattr(process, "ps", Ps(limit=0.2))
    with pytest.raises(OSError, match=reason):
        process.started_at(child.pid)
    with pytest.raises(OSError, match=reason):
        ForeignProcess(child.pid, time.time())
    with pytest.raises(OSError, match=reason):
        adopted.kill()
    assert adopted.poll() is None
    assert find({MARK: "1"}, {"one": "sleep"}) == []


@only_ps
def test_a_ps_that_finds_nobody(fake_ps: Callable[[str], None]) -> None:
    fake_ps("exit 1")
    assert process.started_at(os.getpid()) is None


@only_ps
def test_a_ps_that_is_slow_once(fake_ps: Callable[[str], None], tmp_path: Path, run: Run) -> None:
    child = run(*SLEEP)
    began = process.started_at(child.pid)
    slept = tmp_path / "slept"
    ps, sleep = shutil.which("ps"), shutil.which("sleep")
    fake_ps(f'if [ ! -e {slept} ]; then : > {slept}; {sleep} {SAME + 1}; fi; exec {ps} "$@"')
    assert began is not None
    assert process.is_same(child.pid, began)
    assert slept.exists()


@only_ps
def test_a_ps_that_is_always_slow_is_believed(fake_ps: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ps", Ps(tolerance=0))
    fake_ps("echo 01:40")
    began = process.started_at(os.getpid())
    assert began is not None
    assert abs(time.time() - 100 - began) < 60


@only_ps
def test_a_process_that_begins_in_this_tick(fake_ps: Callable[[str], None]) -> None:
    # What ps of procps 4.0.2 prints then; its unsigned difference is below 0.
    fake_ps("echo 441077234-00:18:40")
    began = process.started_at(os.getpid())
    assert began is not None
    assert abs(began - time.time()) <= SAME


# Adopted ones.


def test_an_adopted_process_ends(run: Run) -> None:
    adopted = adopt(run(*SLEEP))
    assert adopted.poll() is None
    assert (adopted.returncode, adopted.stdin, adopted.stdout, adopted.stderr) == (None, None, None, None)
    adopted.terminate()
    assert adopted.wait(10) == adopted.wait() == adopted.poll() == adopted.returncode == UNKNOWN_STATUS
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
    assert adopted.wait(10) == UNKNOWN_STATUS


def test_a_pid_that_is_somebody_elses_by_now(run: Run) -> None:
    child = run(*SLEEP)
    adopted = ForeignProcess(child.pid, time.time() - 100)
    adopted.kill()
    adopted.terminate()
    assert adopted.poll() == adopted.wait(0) == UNKNOWN_STATUS
    assert process.started_at(child.pid) is not None


@only_ps
def test_a_pid_that_becomes_somebody_elses(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    child = run(*SLEEP)
    adopted = adopt(child)
    monkeypatch.setattr(process, "started_at", lambda _: time.time() + 100)
    assert adopted.poll() is None
    adopted.kill()
    assert adopted.poll() == UNKNOWN_STATUS
    assert child.poll() is None


@only_psutil
def test_a_clock_that_is_set_ends_nobody(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    child = run(*SLEEP)
    adopted = adopt(child)
    monkeypatch.setattr(process, "started_at", lambda _: time.time() + 100)
    assert adopted.poll() is None
    adopted.kill()
    assert adopted.wait(10) == UNKNOWN_STATUS


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


@as_root
def test_a_process_of_somebody_else(run: Run, value: str, connection_file: str, mode: str) -> None:
    child = run("sleep", "60", user=SOMEBODY, env=environment(value))
    adopted = adopt(child)
    with nobody():
        assert process.started_at(child.pid) is not None
        assert find({MARK: value}, {"one": connection_file}) == []
        with pytest.raises(PermissionError):
            adopted.kill()
        assert adopted.poll() is None
    adopted.kill()
    assert adopted.wait(10) == UNKNOWN_STATUS


# Found ones.


def test_a_kernel_is_found(run: Run, value: str, connection_file: str) -> None:
    child = run(*KERNEL, "--profile", connection_file, env=environment(value))
    [found] = find({MARK: value}, {"two": "/nowhere/kernel-two.json", "one": connection_file})
    assert found == KernelProcess(child.pid, child.pid, "one", found.started, is_kernel=True)
    assert process.is_same(child.pid, found.started)


def test_a_cut_of_the_arguments_is_none_of_ours(
    run: Run, value: str, connection_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    child = run(*KERNEL, *["-Dspark.padding=1"] * 50, f"--profile={connection_file}", env=environment(value))
    assert [one.pid for one in find({MARK: value}, {"one": connection_file})] == [child.pid]


def test_children_are_no_kernels(run: Run, value: str, connection_file: str, mode: str) -> None:
    child = run(*PARENT, connection_file, env=environment(value))

    def found() -> set[tuple[bool, int, bool]]:
        everyone = find({MARK: value}, {"one": connection_file})
        return {(one.pid == child.pid, one.pgid, one.is_kernel) for one in everyone}

    # ps finds kernels alone. A child has its parent's command line until it has its own.
    others = {(False, child.pid, False)} if mode == "psutil" else set()
    until(lambda: found() == {(True, child.pid, True)} | others)


@only_psutil
def test_a_connection_file_is_known_by_its_name_too(run: Run, value: str) -> None:
    child = run(*KERNEL, "/elsewhere/kernel-one.json", env=environment(value))
    run(*KERNEL, "/elsewhere/kernel-one.json", env=environment(value, "two"))
    found = find({MARK: value}, {"one": "", "two": "/nowhere/else.json"})
    assert {one.kernel_id: one.is_kernel for one in found} == {"one": True, "two": False}
    assert {one.pid for one in found if one.is_kernel} == {child.pid}
    assert {one.kernel_id for one in find({MARK: value}, {})} == {"one", "two"}


@only_psutil
def test_a_connection_file_may_have_any_name(run: Run, value: str, tmp_path: Path) -> None:
    run(*KERNEL, str(tmp_path / "mine.json"), env=environment(value))
    [found] = find({MARK: value}, {"one": str(tmp_path / "mine.json")})
    assert found.is_kernel


@only_psutil
def test_processes_without_our_mark(run: Run, value: str, connection_file: str) -> None:
    for env in (None, environment("another"), environment(value, None), environment(value, "")):
        run(*KERNEL, connection_file, env=env)
    assert find({MARK: value}, {"one": connection_file}) == []


@only_ps
def test_processes_without_our_connection_file(run: Run, value: str) -> None:
    run(*KERNEL, "kernel-one.json", env=environment(value))
    assert find({MARK: value}, {"one": "/nowhere/kernel-one.json", "two": ""}) == []
    assert find({MARK: value}, {}) == []


def test_this_process_is_not_found(run: Run, value: str, connection_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    child = run(*KERNEL, connection_file, env=environment(value))
    monkeypatch.setattr(os, "getpid", lambda: child.pid)
    assert find({MARK: value}, {"one": connection_file}) == []


@only_psutil
def test_a_kernel_that_waits_to_be_reaped_is_not_found(run: Run, value: str, connection_file: str) -> None:
    child = run(*KERNEL, connection_file, env=environment(value))
    child.kill()
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert find({MARK: value}, {"one": connection_file}) == []


@only_ps
def test_rows_that_can_not_be_read(fake_ps: Callable[[str], None]) -> None:
    rows = [
        "",
        "1 2",
        "x 1 00:01 kernel.json",
        "7 8 - kernel.json",
        "7 8 00:01",
        "7 8 00:01 other",
        "7 8 01:00 kernel.json",
    ]
    fake_ps(f"printf '%s\\n' {' '.join(json.dumps(row) for row in rows)}")
    [found] = find({MARK: "1"}, {"one": "kernel.json"})
    assert (found.pid, found.pgid, found.kernel_id, found.is_kernel) == (7, 8, "one", True)
    assert abs(time.time() - 60 - found.started) <= SAME


def test_it_works_where_psutil_is_not(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["psutil"] = None
from kg2at_personality.system import processes as process
assert process.psutil is None
assert process.started_at({os.getpid()}) is not None
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@only_psutil
def test_the_user_of_a_process_is_told_when_all_of_it_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    try:
        assert process.own_user_of(child.pid) == getpass.getuser()
        assert process.own_user_of(process.LAST_PID) is None
        monkeypatch.setattr(os, "getuid", lambda: 2**31 - 3)
        assert process.own_user_of(child.pid) is None
    finally:
        child.communicate()


@as_root
@only_psutil
def test_a_process_that_has_a_child_of_another_user_may_be_anybodys() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-S", "-c", "import subprocess; subprocess.run(['cat'], user=65534)"], stdin=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 30
        while process.own_user_of(parent.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.own_user_of(parent.pid) is None and parent.poll() is None
    finally:
        parent.communicate()
