from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.errors import StateDirInUse
from kg2at_personality.state import ledger as module
from kg2at_personality.state.ledger import ASIDE, LOCK, MARK, Ledger
from kg2at_personality.state.record import RUNNING, STOPPING, VERSION, Record

pytestmark = pytest.mark.timeout(90)
LOG = logging.getLogger("tests.ledger")
NOBODY = 65534
ONE, TWO, THREE = (f"{number}0000000-0000-4000-8000-000000000000" for number in (1, 2, 3))
#: Holds the ledger in a process of its own until it is killed, and tells when it does.
HOLDER = """
import logging, sys, time
from kg2at_personality.state.ledger import Ledger
Ledger(sys.argv[1], {"process": 4711, "host": "h", "port": 8899}, logging.getLogger()).open()
print("held", flush=True)
time.sleep(60)
"""
#: Threads that open and close the ledger for a second. Whoever has it has the file argv[2] alone.
RACERS = """
import json, logging, os, sys, threading, time
from kg2at_personality.errors import StateDirInUse
from kg2at_personality.state.ledger import Ledger
path, token = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
held, shared, end = [], [], time.monotonic() + 1.0

def race():
    while time.monotonic() < end:
        one = Ledger(path, {}, logging.getLogger(), lock_limit=0)
        try:
            one.open()
        except (StateDirInUse, OSError):
            one.close()
            continue
        try:
            os.close(os.open(token, os.O_CREAT | os.O_EXCL))
            held.append(1)
            os.unlink(token)
        except FileExistsError:
            shared.append(1)
        one.close()

threads = [threading.Thread(target=race) for _ in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps([len(held), len(shared)]))
"""


class Make:
    """Makes ledgers."""

    def __init__(self, path: Path) -> None:
        self._path, self.made = path, list[Ledger]()
        #: Seconds that each of them waits for a lock.
        self.lock_limit = 1.0

    def __call__(self, where: Path | None = None, **about: Any) -> Ledger:
        holder = {"process": os.getpid(), "host": "here", "port": 8888} | about
        self.made.append(Ledger(where or self._path, holder, LOG, self.lock_limit))
        return self.made[-1]


def record(kernel_id: str = ONE, **changes: Any) -> Record:
    made = Record(kernel_id, "python3", RUNNING, f"/run/kernel-{kernel_id}.json", "2026-01-02T03:04:05+00:00")
    return replace(made, **changes)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def inodes(path: Path) -> set[tuple[int, int]]:
    """Of the directory and what it holds."""
    return {(status.st_dev, status.st_ino) for status in map(os.lstat, (path, *path.iterdir()))}


def descriptors(inodes: set[tuple[int, int]]) -> int:
    """How many this process has of them; those of others come and go."""
    found = 0
    for descriptor in map(int, os.listdir("/dev/fd")):
        with suppress(OSError):  # the listing's own
            status = os.fstat(descriptor)
            found += (status.st_dev, status.st_ino) in inodes
    return found


def told(caplog: Any) -> list[logging.LogRecord]:
    """What the ledger logs; garbage of other tests may say something too."""
    return [each for each in caplog.records if each.name == LOG.name]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    """Its ledgers are closed in the end."""
    making = Make(path)
    yield making
    for each in making.made:
        each.close()


@pytest.fixture
def ledger(make: Make) -> Ledger:
    """An open one."""
    made = make()
    made.open()
    return made


@pytest.fixture
def once(make: Make) -> None:
    """A lock that is held is not waited for."""
    make.lock_limit = 0


@contextmanager
def running(*command: str, **kwargs: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **kwargs) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def held_by_another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    with running(sys.executable, "-c", HOLDER, str(path)) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process


def files(path: Path) -> list[str]:
    """What is there beside the lock."""
    return sorted(name for name in os.listdir(path) if name != LOCK)


# What is there, and who may read it.


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_may_read_it_from_its_first_byte(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    made: dict[str, tuple[int, int]] = {}
    real = os.open

    def noted(name: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        descriptor = real(name, flags, *args, **kwargs)
        if flags & os.O_CREAT and str(name).startswith(str(path)):
            status = os.fstat(descriptor)
            made.setdefault(os.path.basename(name), (stat.S_IMODE(status.st_mode), status.st_size))
        return descriptor

    before = os.umask(umask)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", noted)
            ledger = make()
            ledger.open()
            ledger.write(record())
    finally:
        os.umask(before)
    assert made == {LOCK: (0o600, 0), f"{ONE}.json.new": (0o600, 0)}
    assert (mode(path), mode(path / LOCK), mode(path / f"{ONE}.json")) == (0o700, 0o600, 0o600)


def test_its_parents_are_made_too(make: Make, tmp_path: Path) -> None:
    ledger = make(tmp_path / "a" / "b" / "c")
    ledger.open()
    assert mode(tmp_path / "a" / "b" / "c") == 0o700


def test_whether_it_is_new_is_known(make: Make, ledger: Ledger, path: Path, once: None) -> None:
    assert ledger.is_new
    ledger.write(record())
    ledger.close()
    second = make()
    second.open()
    assert not second.is_new


def test_the_mark_is_one_however_the_directory_is_named(
    make: Make, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.mkdir()
    (tmp_path / "link").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    marks = [make(Path(name)).mark for name in (str(path), "state", "./state/", "link", f"{tmp_path}/x/../state")]
    assert marks == [{MARK: os.path.realpath(path)}] * 5


# Records come and go.


def test_what_was_written_is_read(ledger: Ledger) -> None:
    records = [record(ONE, pid=1, launches=1), record(TWO, env={"KERNEL_USERNAME": "ä"}), record(THREE)]
    for each in records:
        ledger.write(each)
    assert ledger.read() == (records, [])


def test_the_next_one_reads_it(ledger: Ledger, make: Make) -> None:
    ledger.write(record())
    ledger.close()
    second = make()
    second.open()
    assert second.read() == ([record()], [])


def test_a_record_takes_its_predecessors_place(ledger: Ledger, path: Path) -> None:
    ledger.write(record())
    ledger.write(record(step=STOPPING))
    assert ledger.read() == ([record(step=STOPPING)], [])
    assert files(path) == [f"{ONE}.json"]


def test_dropping_is_once_and_for_all(ledger: Ledger, path: Path) -> None:
    ledger.write(record(ONE))
    ledger.write(record(TWO))
    for _ in range(2):
        ledger.drop(ONE)
        assert ledger.read() == ([record(TWO)], [])
    ledger.drop(THREE)
    assert files(path) == [f"{TWO}.json"]


def test_an_empty_one_has_nothing_to_read(ledger: Ledger) -> None:
    assert ledger.read() == ([], [])


def test_a_write_that_fails_at_its_end_leaves_the_old_record(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.write(record())

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(OSError, match="Input/output"):
            ledger.write(record(step=STOPPING))
        with pytest.raises(OSError, match="Input/output"):
            ledger.write(record(TWO))
    assert files(path) == [f"{ONE}.json"] and ledger.read() == ([record()], [])


def test_a_write_that_fails_half_way_leaves_the_old_record(ledger: Ledger, path: Path) -> None:
    """No file may grow beyond 64 bytes, as on a disk that is full."""
    ledger.write(record())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        for kernel_id in (ONE, TWO):
            with pytest.raises(OSError):
                ledger.write(record(kernel_id, step=STOPPING))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(path) == [f"{ONE}.json"] and ledger.read() == ([record()], [])
    ledger.write(record(step=STOPPING))
    assert ledger.read() == ([record(step=STOPPING)], [])


def test_nobody_ever_reads_half_a_record(ledger: Ledger, path: Path) -> None:
    short, long = record(), record(env={"KERNEL_MARK": "x" * 50_000})
    ledger.write(short)
    done, seen, wrong = threading.Event(), set(), []

    def read() -> None:
        while not done.is_set():
            try:
                seen.add(len((Record.loads((path / f"{ONE}.json").read_text()).env or {}).get("KERNEL_MARK", "")))
            except (OSError, ValueError) as error:
                wrong.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    deadline = time.monotonic() + 60
    while seen != {0, 50_000} and not wrong and time.monotonic() < deadline:
        for each in (long, short) * 20:
            ledger.write(each)
    done.set()
    reader.join()
    assert wrong == [] and seen == {0, 50_000}


# What is of no use.


def spoil(kind: str, path: Path) -> None:
    """Make something of no use where a record should be."""
    text = record(TWO).dumps()
    if kind == "symlink":
        elsewhere = path.with_name("elsewhere")
        elsewhere.write_text(text)
        elsewhere.chmod(0o600)
        path.symlink_to(elsewhere)
    elif kind == "dangling symlink":
        path.symlink_to(path.with_name("nowhere"))
    elif kind == "FIFO":
        os.mkfifo(path, 0o600)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "directory":
        path.mkdir(mode=0o700)
        (path / "inside").touch()
    else:
        contents: dict[str, bytes] = {
            "empty": b"",
            "zeros": b"\0" * 500,
            "corrupt": b"{]",
            "truncated": text[:-20].encode(),
            "no UTF-8": text.encode().replace(b"python3", b"pyth\xf6n3"),
            "an array": b"[]",
            "deep": b"[" * 100_000,
            "another version": text.replace(f'"version": {VERSION}', '"version": 99').encode(),
            "another kernel's": record(THREE).dumps().encode(),
        }
        path.write_bytes(contents.get(kind, text.encode()))
        path.chmod(int(kind.removeprefix("mode "), 8) if kind.startswith("mode ") else 0o600)
        if kind == "foreign":
            os.chown(path, NOBODY, NOBODY)


SPOILS = [
    *("empty", "zeros", "corrupt", "truncated", "no UTF-8", "an array", "deep", "another version", "another kernel's"),
    *("symlink", "dangling symlink", "FIFO", "socket", "directory", "mode 644", "mode 640", "mode 620", "mode 604"),
    *("mode 602", "mode 610"),
    pytest.param("foreign", marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")),
]


@pytest.mark.parametrize("kind", SPOILS)
def test_what_is_of_no_use_is_set_aside_and_told(ledger: Ledger, path: Path, kind: str, caplog: Any) -> None:
    """And the others are read."""
    for kernel_id in (ONE, THREE):
        ledger.write(record(kernel_id))
    spoil(kind, path / f"{TWO}.json")
    before = (path / f"{TWO}.json").lstat()
    assert ledger.read() == ([record(ONE), record(THREE)], [TWO])
    assert descriptors(inodes(path)) == 1, "the lock alone stays open"
    aside = path / f"{TWO}.json{ASIDE}"
    assert os.path.samestat(before, aside.lstat()) and not os.path.lexists(path / f"{TWO}.json")
    [line] = told(caplog)
    assert line.levelno == logging.ERROR
    assert str(path / f"{TWO}.json") in line.getMessage() and str(aside) in line.getMessage()
    caplog.clear()
    assert ledger.read() == ([record(ONE), record(THREE)], []), "it is told once"
    assert os.path.lexists(aside) and told(caplog) == []


@pytest.mark.parametrize("bits", [0o600, 0o400])
def test_what_only_its_owner_reads_is_fine(ledger: Ledger, path: Path, bits: int) -> None:
    ledger.write(record())
    (path / f"{ONE}.json").chmod(bits)
    assert ledger.read() == ([record()], [])


def test_what_can_not_even_be_set_aside_is_told(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    ledger.write(record(ONE))
    spoil("corrupt", path / f"{TWO}.json")

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    assert ledger.read() == ([record(ONE)], [TWO])
    assert "Read-only file system" in caplog.text and str(path / f"{TWO}.json") in caplog.text


def test_a_new_record_of_one_that_was_set_aside(ledger: Ledger, path: Path) -> None:
    """The kernel went on without it. Both stay, and a second one of no use takes the first one's place."""
    for text in ("{first", "{second"):
        (path / f"{ONE}.json").write_text(text)
        assert ledger.read() == ([], [ONE])
    ledger.write(record())
    assert ledger.read() == ([record()], [])
    assert (path / f"{ONE}.json{ASIDE}").read_text() == "{second"


def test_what_was_half_written_is_removed(ledger: Ledger, path: Path) -> None:
    ledger.write(record(ONE))
    for kernel_id in (ONE, TWO):
        (path / f"{kernel_id}.json.new").write_text(record(kernel_id).dumps()[:40])
    assert ledger.read() == ([record(ONE)], [])
    assert files(path) == [f"{ONE}.json"]


def test_what_is_somebody_elses_is_left_alone(ledger: Ledger, path: Path, caplog: Any) -> None:
    names = [
        "notes",
        "notes.json",
        "a-b-c.json",
        "notes.new",
        ".json",
        ".hidden",
        f"{ONE}",
        f"{ONE}.txt",
        f"x {ONE}.json",
    ]
    names += [f"{ONE}.json.aside", f"{ONE}.json~", "1-2-3-4-ü.json"]
    for name in names:
        (path / name).write_text("{]")
    (path / "directory").mkdir()
    assert ledger.read() == ([], [])
    assert files(path) == sorted([*names, "directory"]) and told(caplog) == []


def test_a_directory_that_can_not_be_read(ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(OSError, match="denied"):
        ledger.read()


# Whose it is.


def check_refusal(error: BaseException, path: Path, process: int, port: int) -> None:
    text = str(error)
    assert str(path) in text and "state_dir" in text, text
    assert re.search(rf"\b{process}\b", text) and re.search(rf"\b{port}\b", text), text


def test_a_second_one_is_told_who_has_it(ledger: Ledger, make: Make, path: Path, once: None) -> None:
    ledger.write(record())
    second = make(port=9999)
    for _ in range(2):
        with pytest.raises(StateDirInUse) as caught:
            second.open()
        check_refusal(caught.value, path, os.getpid(), 8888)
    with pytest.raises(OSError, match="8888"):
        second.write(record(TWO))
    assert ledger.read() == ([record()], []), "it changed nothing"


def test_a_second_gateway_is_told_who_has_it_and_gets_it_when_that_is_killed(make: Make, path: Path) -> None:
    ledger = make()
    with held_by_another_process(path) as holder:
        with pytest.raises(StateDirInUse) as caught:
            ledger.open()
        check_refusal(caught.value, path, 4711, 8899)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        ledger.open()
    ledger.write(record())
    assert json.loads((path / LOCK).read_text())["process"] == os.getpid(), "the lock names its new holder"


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '"x"', "\0\0\0"])
def test_a_holder_that_left_no_name(ledger: Ledger, make: Make, path: Path, once: None, content: str) -> None:
    (path / LOCK).write_text(content)
    with pytest.raises(StateDirInUse, match=f"{re.escape(str(path))}.*state_dir"):
        make().open()


def test_what_the_last_holder_left_in_the_lock_is_gone(make: Make, path: Path, once: None) -> None:
    path.mkdir()
    (path / LOCK).write_text(json.dumps({"process": 1, "more": "x" * 1000}))
    first = make(port=7777)
    first.open()
    with pytest.raises(StateDirInUse, match="port 7777"):
        make().open()
    assert "x" not in (path / LOCK).read_text()


def test_one_that_was_removed_is_made_and_locked_again(ledger: Ledger, make: Make, path: Path, once: None) -> None:
    shutil.rmtree(path)
    ledger.write(record(ONE))
    assert ledger.read() == ([record(ONE)], [])
    with pytest.raises(StateDirInUse):
        make().open()


def test_opening_twice_is_once(ledger: Ledger, make: Make, path: Path, once: None) -> None:
    ledger.open()
    assert descriptors(inodes(path)) == 1
    ledger.close()
    make().open()


def test_closing_frees_it(ledger: Ledger, make: Make, once: None) -> None:
    ledger.write(record())
    ledger.close()
    second = make()
    second.open()
    ledger.close()
    with pytest.raises(StateDirInUse):
        make().open()


def test_one_that_was_killed_just_now_is_waited_for(make: Make, path: Path) -> None:
    """The system gives up its lock a moment later than whoever killed it thinks."""
    path.mkdir()
    descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    make.lock_limit = 20
    later = threading.Timer(0.3, os.close, [descriptor])
    later.start()
    make().open()
    later.join()


def test_one_that_ends_while_it_is_waited_for(ledger: Ledger, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes its directory away, which held nothing."""
    second = make(port=9999)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: ledger.close())
    second.open()
    with pytest.raises(StateDirInUse, match="port 9999"):
        make().open()
    second.write(record())
    assert second.read() == ([record()], [])


def test_a_child_of_its_process_does_not_keep_it(ledger: Ledger, make: Make, once: None) -> None:
    ledger.write(record())
    with running("sleep", "60", close_fds=False, start_new_session=True) as child:
        ledger.close()
        make().open()
        assert child.poll() is None


def test_two_never_have_it_at_once(path: Path, tmp_path: Path) -> None:
    """Threads of two processes open and close it for a second, and each end takes the directory away."""
    racers = [sys.executable, "-c", RACERS, str(path), str(tmp_path / "token")]
    with running(*racers, stdin=subprocess.PIPE) as one, running(*racers, stdin=subprocess.PIPE) as other:
        for process in (one, other):
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in (one, other):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        results = [json.loads(process.communicate(timeout=60)[0]) for process in (one, other)]
    assert [shared for _, shared in results] == [0, 0]
    assert all(held > 5 for held, _ in results), results


# Its end.


def test_an_empty_directory_is_removed(ledger: Ledger, path: Path) -> None:
    ledger.write(record())
    ledger.drop(ONE)
    ledger.close()
    assert not path.exists() and path.parent.exists()
    ledger.close()


@pytest.mark.parametrize("name", [f"{ONE}.json", f"{ONE}.json{ASIDE}", "notes"])
def test_one_that_holds_something_stays(ledger: Ledger, path: Path, name: str) -> None:
    (path / name).touch()
    ledger.close()
    assert (path / name).exists()


def test_nothing_is_written_after_the_end(ledger: Ledger, path: Path) -> None:
    ledger.close()
    with pytest.raises(OSError, match="ended"):
        ledger.write(record())
    with pytest.raises(OSError, match="ended"):
        ledger.open()
    assert not path.exists()


def test_one_that_was_never_open_closes_too(make: Make, path: Path) -> None:
    ledger = make()
    ledger.close()
    with pytest.raises(OSError, match="ended"):
        ledger.open()
    assert not path.exists()


def test_closing_leaves_no_descriptor(make: Make, path: Path, once: None) -> None:
    for number in range(3):
        ledger, second = make(), make()
        ledger.open()
        with pytest.raises(StateDirInUse):
            second.open()
        ledger.write(record())
        ours = inodes(path)
        if number:
            ledger.drop(ONE)  # the directory goes then
        ledger.close()
        second.close()
        assert descriptors(ours) == 0


# A directory that can't be used.


@pytest.mark.parametrize("in_the_way", ["itself", "its parent"])
def test_one_that_can_not_be_made_is_as_soon_as_it_can(make: Make, tmp_path: Path, in_the_way: str) -> None:
    path = tmp_path / "a" / "state"
    obstacle = path if in_the_way == "itself" else path.parent
    obstacle.parent.mkdir(exist_ok=True)
    obstacle.write_text("a file")
    ledger = make(path)
    for _ in range(2):
        with pytest.raises(OSError):
            ledger.open()
        with pytest.raises(OSError):
            ledger.write(record())
    with suppress(OSError):
        ledger.drop(ONE)
    assert obstacle.read_text() == "a file"
    obstacle.unlink()
    ledger.write(record())
    assert ledger.read() == ([record()], []) and mode(path) == 0o700
    with pytest.raises(StateDirInUse):
        make(path).open()


def test_one_that_somebody_else_has_can_be_written_to_when_he_ends(ledger: Ledger, make: Make, once: None) -> None:
    second = make()
    with pytest.raises(OSError, match="state_dir"):
        second.write(record())
    ledger.close()
    second.write(record())
    assert second.read() == ([record()], [])


def test_a_full_disk_locks_all_the_same(make: Make, monkeypatch: pytest.MonkeyPatch, once: None) -> None:
    """The lock's name does not matter."""

    def refuse(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        for name in ("write", "pwrite"):
            patch.setattr(os, name, refuse)
        make().open()
    with pytest.raises(StateDirInUse):
        make().open()


def test_a_directory_that_can_only_be_read_can_be_locked(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch, once: None
) -> None:
    """So that the next one ends instead of going on with the same kernels."""
    path.mkdir()
    (path / LOCK).touch()
    real = os.open

    def only_reads(name: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if str(name).startswith(str(path)) and flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system")
        return real(name, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", only_reads)
    first = make()
    first.open()
    with pytest.raises(StateDirInUse):
        make().open()
    with pytest.raises(OSError, match="Read-only"):
        first.write(record())
    assert first.read() == ([], [])
