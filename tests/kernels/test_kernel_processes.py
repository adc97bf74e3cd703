"""The processes of kernels are found, with psutil and without."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kg2at_personality.kernels.kernel_processes import KernelProcess, find
from kg2at_personality.system import processes
from kg2at_personality.system.foreign_process import UNKNOWN_STATUS
from kg2at_personality.system.ps import SAME
from tests.fakes.processes import (
    KERNEL,
    MARK,
    PARENT,
    SOMEBODY,
    Run,
    adopt,
    as_root,
    environment,
    nobody,
    only_ps,
    only_psutil,
)
from tests.fakes.wait import wait_until

pytestmark = pytest.mark.usefixtures("mode")


@as_root
def test_a_process_of_somebody_else(run: Run, value: str, connection_file: str, mode: str) -> None:
    child = run("sleep", "60", user=SOMEBODY, env=environment(value))
    adopted = adopt(child)
    with nobody():
        assert processes.started_at(child.pid) is not None
        assert find({MARK: value}, {"one": connection_file}) == []
        with pytest.raises(PermissionError):
            adopted.kill()
        assert adopted.poll() is None
    adopted.kill()
    assert adopted.wait(30) == UNKNOWN_STATUS


def test_a_kernel_is_found(run: Run, value: str, connection_file: str) -> None:
    child = run(*KERNEL, "--profile", connection_file, env=environment(value))
    [found] = find({MARK: value}, {"two": "/nowhere/kernel-two.json", "one": connection_file})
    assert found == KernelProcess(child.pid, child.pid, "one", found.started, is_kernel=True)
    assert processes.is_same(child.pid, found.started)


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
    wait_until(lambda: found() == {(True, child.pid, True)} | others, "the kernel and its parent")


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
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, "its end")
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
