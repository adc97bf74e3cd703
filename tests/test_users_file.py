"""The file of users: what is read of it, what is refused, and how it is changed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality import users_file
from kg2at_personality.errors import ConfigError
from kg2at_personality.users_file import FileUser, changing, check_name, digest_of, read

ROOT = Path(__file__).parents[1]
ALICE = FileUser(digest_of("a"), "2026-11-26T20:00:00+00:00", True)
BOB = FileUser(digest_of("b"), max_cores=4, max_kernels=0)
ADD = """
import sys
from kg2at_personality.users_file import FileUser, changing, digest_of
path, who = sys.argv[1:]
for number in range(10):
    with changing(path, 60) as users:
        users[f"{who}{number}"] = FileUser(digest_of(f"{who}{number}"))
"""
ADD_MUCH_ON_A_SMALL_DISK = """
import resource, sys
from kg2at_personality.errors import ConfigError
from kg2at_personality.users_file import FileUser, changing, digest_of
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with changing(sys.argv[1]) as users:
        users |= {str(number): FileUser(digest_of(str(number))) for number in range(100)}
except ConfigError as error:
    print(error)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with two users."""
    made = tmp_path / "users.json"
    with changing(str(made)) as users:
        users |= {"alice": ALICE, "Bob B.": BOB}
    return made


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read(str(path))
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_is_written_is_read(path: Path) -> None:
    assert read(str(path)) == {"alice": ALICE, "Bob B.": BOB}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in path.parent.iterdir()) == ["users.json", "users.json.lock"]


def test_no_token_is_in_it(path: Path) -> None:
    with changing(str(path)) as users:
        users["carol"] = FileUser(digest_of("a-secret-of-hers"))
    assert "a-secret-of-hers" not in path.read_text() and read(str(path))["carol"].token == digest_of(
        "a-secret-of-hers"
    )


def test_a_file_without_users_is_one(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text('{"version": 1, "users": {}}')
    (tmp_path / "users.json").chmod(0o600)
    assert read(str(tmp_path / "users.json")) == {}


# What is refused.

GOOD = {"token": "0" * 64, "since": "", "admin": False, "max_cores": None, "max_kernels": 1}
USERS: dict[str, tuple[Any, str]] = {
    "no object": ([], "users: expected an object, got an array"),
    "a user that is none": ({"alice": 5}, "users.alice: expected an object, got 5"),
    "no token": ({"alice": {}}, "users.alice: 'token' is missing"),
    "a token itself": ({"alice": GOOD | {"token": "s3cr3t"}}, "users.alice: 'token' is no SHA-256"),
    "another spelling": ({"alice": GOOD | {"token": "A" * 64}}, "users.alice: 'token' is no SHA-256"),
    "a number": ({"alice": GOOD | {"token": 5}}, "users.alice: 'token': expected text"),
    "admin as text": ({"alice": GOOD | {"admin": "no"}}, "users.alice: 'admin': expected one of True, False"),
    "admin as a number": ({"alice": GOOD | {"admin": 1}}, "'admin'"),
    "a negative bound": ({"alice": GOOD | {"max_cores": -1}}, "'max_cores': expected a whole number from 0"),
    "true kernels": ({"alice": GOOD | {"max_kernels": True}}, "'max_kernels'"),
    "too many": ({"alice": GOOD | {"max_kernels": 2**31}}, "'max_kernels'"),
    "a number as date": ({"alice": GOOD | {"since": 5}}, "'since'"),
    "a field too many": ({"alice": GOOD | {"maxcores": 5}}, "'maxcores': there is no such field"),
    "one token of two": ({"alice": GOOD, "bob": GOOD}, "'alice' and 'bob' have the same token"),
    "no name": ({"": GOOD}, "'' is no name of a user"),
    "a name over two lines": ({"a\nb": GOOD}, r"'a\nb' is no name of a user"),
    "a long name": ({"a" * 101: GOOD}, "is no name of a user"),
}


@pytest.mark.parametrize("name", USERS)
def test_users_that_are_none(path: Path, name: str) -> None:
    users, said = USERS[name]
    path.write_text(json.dumps({"version": 1, "users": users}))
    answer = refused(path)
    assert said in answer and "is broken" in answer and "s3cr3t" not in answer and len(answer.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "Expecting value"),
        (b"[]", "expected an object, got an array"),
        (b"{}", "'version' is missing"),
        (b'{"version": 1}', "'users' is missing"),
        (b'{"version": 2, "teams": []}', "'version' is 2, and this kg2at knows 1"),
        (b'{"version": "1", "users": {}}', "'version'"),
        (b'{"version": 1, "users": {}, "more": 1}', "'more': there is no such field"),
        (b'{"version": NaN, "users": {}}', "NaN is no number"),
        (b'{"version": 1, "users": {}', "Expecting"),
        (b'{"version": 1' + b"0" * 5000 + b', "users": {}}', "is broken"),
        (b"[" * 100_000, "nested too deep"),
        (b"\xff", "can't decode byte"),
        (b" " * (4 * 1024 * 1024 + 1), "more than 4194304 bytes"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_no_file_of_users(path: Path, text: bytes, said: str) -> None:
    path.write_bytes(text)
    assert said in refused(path)


def test_one_that_is_not_there(tmp_path: Path) -> None:
    assert "`jupyter kg2at users add NAME --admin` makes one" in refused(tmp_path / "users.json")
    assert "Not a directory" in refused(Path(__file__) / "users.json")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666])
def test_one_that_others_may_read_or_write(path: Path, mode: int) -> None:
    path.chmod(mode)
    assert f"`chmod 600 {path}`" in refused(path)
    path.chmod(0o600)
    assert "alice" in read(str(path))


def test_one_of_another_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    assert f"belongs to another user (uid {uid}, not {uid + 1})" in refused(path)
    (path.parent / "users.json.lock").unlink()
    with pytest.raises(ConfigError, match="belongs to another user"), changing(str(path)):
        pass
    assert not (path.parent / "users.json.lock").exists(), "a lock that its owner could not take"


def test_what_is_no_file(tmp_path: Path) -> None:
    """A FIFO, which nobody writes into, must not be waited for."""
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path in (tmp_path, tmp_path / "fifo"):
        assert "is no regular file" in refused(path)


def test_one_that_is_replaced_while_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is checked is what is read: another's file, put in its place in between, is neither."""
    seen = users_file._check_private

    def replace_and_check(*arguments: Any) -> None:
        other = path.with_name("other")
        other.write_text("rubbish that others may write")
        other.replace(path)
        seen(*arguments)

    monkeypatch.setattr(users_file, "_check_private", replace_and_check)
    assert read(str(path)) == {"alice": ALICE, "Bob B.": BOB}
    monkeypatch.undo()
    assert "chmod 600" in refused(path)


@pytest.mark.parametrize("name", ["a", "A b", "ünï", "a" * 100, "ada@example.org", "'; rm -rf /", "用户"])
def test_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", " ", " a", "a ", "a\tb", "a\n", "\x1b[2J", "a\u2028", "\u202eb", "\ud800", "a" * 101]
)
def test_no_names(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a user") as caught:
        check_name(name)
    assert str(caught.value).isprintable()


# Changes.


def test_an_exception_leaves_it_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(KeyError), changing(str(path)) as users:
        del users["alice"], users["nobody"]
    assert path.read_bytes() == before


def test_nothing_is_written_where_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    with changing(str(path)) as users:
        assert users == {}
    assert not path.exists()


def test_a_broken_one_is_not_replaced(path: Path) -> None:
    path.write_text("[")
    with pytest.raises(ConfigError, match="is broken"), changing(str(path)) as users:
        users["carol"] = BOB
    assert path.read_text() == "["


def test_a_symbolic_link_stays_one(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    with changing(str(link)) as users:
        del users["alice"]
    assert link.is_symlink() and read(str(path)) == read(str(link)) == {"Bob B.": BOB}
    late = tmp_path / "late"
    late.symlink_to(tmp_path / "not-yet")
    with changing(str(late)) as users:
        users["alice"] = ALICE
    assert late.is_symlink() and read(str(tmp_path / "not-yet")) == {"alice": ALICE}


def test_a_full_disk_leaves_the_old_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(users_file, "write_private", full)
    with (
        pytest.raises(ConfigError, match="can't be written, and is as it was: No space left"),
        changing(str(path)) as users,
    ):
        users["carol"] = FileUser(digest_of("c"))
    assert path.read_bytes() == before


def test_a_disk_that_is_full_in_the_midst_of_it(path: Path) -> None:
    before = path.read_bytes()
    ran = subprocess.run(
        [sys.executable, "-c", ADD_MUCH_ON_A_SMALL_DISK, path], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert "can't be written, and is as it was" in ran.stdout, ran
    assert path.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == ["users.json", "users.json.lock"]


def test_none_is_written_that_none_would_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users_file, "MOST_BYTES", 1000)
    with pytest.raises(ConfigError, match="it would have more than 1000 bytes"), changing(str(path)) as users:
        users |= {str(number): FileUser(digest_of(str(number))) for number in range(10)}
    assert len(read(str(path))) == 2


def test_a_place_where_nobody_may_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match=r"file/a/users can't be made, as .*file/a: Not a directory"),
        changing(f"{tmp_path}/file/a/users"),
    ):
        pass
    (tmp_path / "users.json.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="can't be changed"), changing(f"{tmp_path}/users.json"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_its_directory_is_made(tmp_path: Path) -> None:
    with changing(f"{tmp_path}/etc/kg2at/users.json") as users:
        users["alice"] = FileUser(digest_of("a"))
    assert list(read(f"{tmp_path}/etc/kg2at/users.json")) == ["alice"]
    assert (tmp_path / "etc" / "kg2at").stat().st_mode & 0o777 == 0o700


def test_writers_wait_for_each_other(path: Path) -> None:
    argv = [sys.executable, "-c", ADD, path]
    writers = [subprocess.Popen([*argv, who], cwd=ROOT, stderr=subprocess.PIPE) for who in ("x", "y", "z")]
    assert [(each.communicate(timeout=200)[1], each.returncode) for each in writers] == [(b"", 0)] * 3
    assert read(str(path)).keys() == {"alice", "Bob B.", *(f"{who}{number}" for who in "xyz" for number in range(10))}


def test_one_who_holds_it_for_long_is_told_of(path: Path) -> None:
    with open(f"{path}.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match=r"Somebody else .* for 0.1 s.*users.json.lock"), changing(str(path), 0.1):
            pass
    with changing(str(path), 0.1) as users:
        assert "alice" in users
