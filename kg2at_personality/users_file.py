"""The file of the users that a gateway lets in, by a token each: setting `users_file`.

It holds no token, only the digest of each, and is readable by its owner alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from .errors import ConfigError
from .json_fields import FieldError, Fields, parse
from .system.file_lock import try_lock
from .system.private_file import write_private

VERSION = 1
#: Most bytes of the file, for some 20,000 users.
MOST_BYTES = 4 * 1024 * 1024
#: Most characters of a name, and how many of a wrong one are shown.
LONGEST_NAME, SHOWN = 100, 40
#: Most cores and most kernels that a bound may allow.
MOST = 2**31 - 1
#: Seconds that another change of the file may take, and between two looks whether it has ended.
LOCK_LIMIT, LOCK_POLL = 5.0, 0.05
#: Follow no symbolic link; 0 where the system has none of it.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class FileUser:
    """One user of the file. `max_cores` and `max_kernels` as for GatewayUser; `since` is when the token was made."""

    token: str  # digest_of it
    since: str = ""
    admin: bool = False
    max_cores: int | None = None
    max_kernels: int | None = None


def digest_of(token: str) -> str:
    """Return what the file holds of a token: its SHA-256, in hex. Tokens are random, and need no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


def check_name(name: str) -> None:
    """Raise ValueError for what can't be a user's name."""
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise FieldError(
            f"{name[:SHOWN]!r} is no name of a user: that is 1 to {LONGEST_NAME} printable characters, with no blank "
            "at either end"
        )


# Read.


def read(path: str) -> dict[str, FileUser]:
    """Return the users by name. Raises ConfigError for a file that is not there, not private, or broken."""
    return users_in(content_of(path), path)


def content_of(path: str) -> bytes:
    """Return what the file holds. What is checked and what is read is the same, also when somebody replaces the file.

    Raises ConfigError when it can't be read, is not its reader's alone, or too large.
    """
    try:
        # A FIFO would keep it waiting for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            _check_private(os.fstat(descriptor), path)
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(MOST_BYTES + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no users file {path}. `jupyter kg2at users add NAME --admin` makes one with its first user."
        ) from error
    except OSError as error:
        raise ConfigError(f"The users file {path} can't be read: {error.strerror}.") from error
    if len(content) > MOST_BYTES:
        raise ConfigError(f"The users file {path} has more than {MOST_BYTES} bytes.")
    return content


def users_in(content: bytes, path: str) -> dict[str, FileUser]:
    """Return the users by name that `content` of the file at `path` names. Raises ConfigError for a broken one."""
    try:
        return _users(Fields(parse(content.decode())))
    except ValueError as error:
        raise ConfigError(f"The users file {path} is broken: {error}.") from error


def _check_private(seen: os.stat_result, path: str) -> None:
    """Raise ConfigError unless it is a regular file of this process' user, which nobody else may read or write."""
    if not stat.S_ISREG(seen.st_mode):
        raise ConfigError(f"The users file {path} is no regular file.")
    if seen.st_uid != os.geteuid():
        raise ConfigError(
            f"The users file {path} belongs to another user (uid {seen.st_uid}, not {os.geteuid()}). It must belong to "
            "the one that runs the gateway, and be changed by that one."
        )
    if seen.st_mode & 0o077:
        raise ConfigError(
            f"Others may read or write the users file {path}. Look at what is in it, then `chmod 600 "
            f"{shlex.quote(path)}`."
        )


def _users(content: Fields) -> dict[str, FileUser]:
    """Return the users of the whole. Raises FieldError."""
    version = content.whole("version")
    if version != VERSION:
        raise FieldError(f"'version' is {version}, and this kg2at knows {VERSION}")
    content.only(("version", "users"))
    users, names = {}, dict[str, str]()
    listed = content.nested("users")
    for name in listed.content:
        check_name(name)
        users[name] = _user(listed.nested(name))
        other = names.setdefault(users[name].token, name)
        if other != name:
            raise FieldError(f"{other!r} and {name!r} have the same token")
    return users


def _user(content: Fields) -> FileUser:
    content.only([field.name for field in fields(FileUser)])
    token = content.text("token")
    if not _DIGEST.fullmatch(token):
        raise FieldError(f"{content.path}: 'token' is no SHA-256 in hex")

    def bound(name: str) -> int:
        return content.whole(name, most=MOST)

    return FileUser(
        token,
        content.text("since", ""),
        content.one_of("admin", (True, False)) if "admin" in content.content else False,
        content.or_none("max_cores", bound),
        content.or_none("max_kernels", bound),
    )


# Change.


@contextmanager
def changing(path: str, lock_limit: float = LOCK_LIMIT) -> Iterator[dict[str, FileUser]]:
    """Yield the users, none where there is no file yet, and write at the end of the block what has become of them.

    A directory that is not there is made, for its owner alone.
    Changes wait for each other, up to `lock_limit` seconds; an exception in the block leaves the file as it is. Raises
    ConfigError as `read`, and when the file can't be locked or written.
    """
    real = os.path.realpath(path)  # a symbolic link stays one
    if os.path.exists(real):
        read(path)  # no lock is left beside a file that is another user's
    else:
        _make_directory(real)
    with _locked(real, lock_limit):
        before = read(path) if os.path.exists(real) else {}
        users = dict(before)
        yield users
        if users != before:
            _write(real, users)


def _make_directory(path: str) -> None:
    directory = os.path.dirname(path)
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"The users file {path} can't be made, as {directory}: {error.strerror}.") from error


@contextmanager
def _locked(path: str, limit: float) -> Iterator[None]:
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | _NO_LINK, 0o600)
    except OSError as error:
        raise ConfigError(f"The users file {path} can't be changed, as {path}.lock: {error.strerror}.") from error
    try:
        _lock(descriptor, path, limit)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: str, limit: float) -> None:
    """Wait for the lock, which the system takes back when its holder ends. Raises ConfigError after `limit` seconds."""
    deadline = time.monotonic() + limit
    try:
        while not try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise ConfigError(
                    f"Somebody else has been changing the users file {path} for {limit:g} s. Wait until that "
                    f"`jupyter kg2at users` has ended, or end it (it holds {path}.lock), and try again."
                )
            time.sleep(LOCK_POLL)
    except OSError as error:
        raise ConfigError(f"The users file {path} can't be locked: {error.strerror}.") from error


def _write(path: str, users: Mapping[str, FileUser]) -> None:
    """Put the file in its place at once. Raises ConfigError, and leaves the old one then."""
    listed = {name: asdict(user) for name, user in users.items()}
    content = json.dumps({"version": VERSION, "users": listed}, indent=1).encode()
    try:
        if len(content) > MOST_BYTES:
            raise OSError(0, f"it would have more than {MOST_BYTES} bytes")
        write_private(Path(path), content)
    except OSError as error:
        raise ConfigError(f"The users file {path} can't be written, and is as it was: {error.strerror}.") from error
