"""Programs, functions and conditions that get a limited time."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TypeVar

T = TypeVar("T")
Stream = IO[bytes] | int


def within(limit: float, tasks: Mapping[str, Callable[[], T]]) -> dict[str, T | Exception]:
    """Call all tasks at the same time; return what each returns or raises within `limit` seconds, by its name.

    The value of a task that takes longer is a TimeoutError; its daemon thread goes on, and its result is dropped.
    """
    answers: dict[str, T | Exception] = {}

    def answer(name: str, task: Callable[[], T]) -> None:
        try:
            found: T | Exception = task()
        except Exception as error:
            found = error
        answers.setdefault(name, found)

    threads = [threading.Thread(target=answer, args=item, daemon=True) for item in tasks.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + limit
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {name: answers.setdefault(name, TimeoutError(f"no answer within {limit:g} s")) for name in tasks}


def run_within(
    limit: float,
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: Stream = subprocess.DEVNULL,
    stderr: Stream = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> int:
    """Run a program in a process group of its own, without input; return its exit status, or minus a signal's number.

    The whole group is killed when it takes longer than `limit` seconds (raises subprocess.TimeoutExpired), and when
    the wait is interrupted. `env` None: this process's. Raises OSError when the program can't be started. Use files
    for `stdout` and `stderr`, no pipe: a daemon that the program starts would keep a pipe open.
    """
    process = subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=True,
    )
    try:
        return process.wait(limit)
    except BaseException:
        _kill_group_of(process)
        raise


def _kill_group_of(process: subprocess.Popen[bytes]) -> None:
    """Kill the group that the process leads, with whatever it waits for, and wait for its own end."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except OSError:
        return  # z/OS may refuse a signal, and then waiting could take for ever
    process.wait()


def wait_until(condition: Callable[[], bool], limit: float, poll: float = 0.05) -> bool:
    """Call `condition` every `poll` seconds, at least once, until it is true; return False after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(poll)
    return met
