"""The records of all kernels, in a directory of the gateway's own: one file each, written before its kernel is.

A gateway that is killed leaves them behind, and the next one that has the same directory finds there what it owns.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import time
from collections.abc import Mapping
from logging import Logger
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import StateDirInUse
from ..system.file_lock import try_lock
from ..system.private_file import write_private
from .record import Record

#: Set in each kernel's environment to the directory of its record, so that none is ever taken for another gateway's.
MARK = "KERNEL_STATE_DIR"
LOCK, RECORD, ASIDE = "lock", ".json", ".aside"
#: jupyter_server's rule for a kernel id, since the id names the file.
KERNEL_ID_PATTERN = re.compile(r"\w+-\w+-\w+-\w+-\w+", re.ASCII)
#: Seconds between two tries of a lock that is held.
LOCK_POLL = 0.1


class NoLedger:
    """A ledger that keeps nothing: that of a gateway which has not begun."""

    #: What each kernel's environment says of its ledger.
    mark: Mapping[str, str] = MappingProxyType({})

    def write(self, record: Record) -> None:
        """No-op."""

    def drop(self, kernel_id: str) -> None:
        """No-op."""

    def close(self) -> None:
        """No-op."""


class Ledger:
    """The directory `path`, locked as long as it is open. Blocking; its files are small.

    `about` tells others who holds it. A lock that is held is tried for `lock_limit` seconds: a gateway that was killed
    just now still has it.
    """

    def __init__(
        self, path: str | os.PathLike[str], about: dict[str, Any], log: Logger, lock_limit: float = 1.0
    ) -> None:
        self.path = Path(os.path.realpath(os.path.expanduser(path)))
        self._about, self._log, self._lock_limit = about, log, lock_limit
        self._lock: int | None = None
        self._is_closed = False
        #: Whether the directory was made just now, so that nothing can be in it.
        self.is_new = False

    @property
    def mark(self) -> dict[str, str]:
        """Return what each kernel's environment says of its ledger."""
        return {MARK: str(self.path)}

    # The lock.

    def open(self) -> None:
        """Take the directory, made if need be. Raises StateDirInUse when another gateway has it, else OSError."""
        if self._lock is not None:
            return
        if self._is_closed:
            raise OSError("The gateway has ended, and writes no records any more.")
        self.is_new = not self.path.exists()
        deadline = time.monotonic() + self._lock_limit
        while True:
            # Again each time: whoever had it removes an empty one.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = self._try_lock()
            if self._lock is not None:
                self._sign(self._lock)
                return
            if time.monotonic() >= deadline:
                break
            time.sleep(LOCK_POLL)
        raise StateDirInUse(
            f"The state directory {self.path} belongs to a gateway that runs{self._holder()}. End that one, or give "
            "this one a directory of its own (KG2ATPersonality.state_dir)."
        )

    def _try_lock(self) -> int | None:
        """Return the locked file's descriptor, which no kernel inherits; None while somebody else holds it."""
        path = self.path / LOCK
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            return None  # the directory was removed just now
        except OSError:
            # A directory that can't be written to can be locked all the same.
            descriptor = os.open(path, os.O_RDONLY)
        try:
            if try_lock(descriptor) and self._is_in_place(descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _is_in_place(self, descriptor: int) -> bool:
        """Return whether the open file is still the directory's lock, which anybody may have removed."""
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path / LOCK))
        except FileNotFoundError:
            return False

    def _sign(self, descriptor: int) -> None:
        # A full disk, or one that can only be read: the lock holds without a name on it.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(self._about).encode())

    def _holder(self) -> str:
        try:
            about = json.loads((self.path / LOCK).read_text())
            return " (" + ", ".join(f"{name} {value}" for name, value in about.items()) + ")"
        except (OSError, ValueError, AttributeError):
            return ""

    def close(self) -> None:
        """Release the directory for good; remove it when it holds nothing any more. Idempotent."""
        self._is_closed = True
        if self._lock is None:
            return
        with contextlib.suppress(OSError):
            if os.listdir(self.path) == [LOCK]:
                # While the lock is held: whoever opened the file before sees that it is another's (_try_lock).
                os.unlink(self.path / LOCK)
                os.rmdir(self.path)
        os.close(self._lock)
        self._lock = None

    # The records.

    def write(self, record: Record) -> None:
        """Put the record in the place of its kernel's last one. Raises OSError, and leaves that one then."""
        try:
            self._forget_removed_lock()
            self.open()
        except StateDirInUse as error:
            raise OSError(str(error)) from error
        write_private(self._file(record.kernel_id), record.dumps().encode())

    def _forget_removed_lock(self) -> None:
        """Give up a lock whose directory somebody removed; it is made, and locked, again."""
        if self._lock is None or self._is_in_place(self._lock):
            return
        os.close(self._lock)
        self._lock = None

    def drop(self, kernel_id: str) -> None:
        """Remove the record of a kernel that left nothing behind. No-op when it has none. Raises OSError."""
        # Where the directory is none, there is no record either.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._file(kernel_id).unlink()

    def _file(self, kernel_id: str) -> Path:
        return self.path / f"{kernel_id}{RECORD}"

    def read(self) -> tuple[list[Record], list[str]]:
        """Return all records, and the ids of the kernels whose record is of no use.

        Those are set aside, with a line in the log. Raises OSError for a directory that can't be read.
        """
        records, broken = [], []
        for name in sorted(os.listdir(self.path)):
            kernel_id = name.removesuffix(RECORD)
            if name == kernel_id or not KERNEL_ID_PATTERN.fullmatch(kernel_id):
                self._tidy(name)
                continue
            try:
                records.append(_read(self.path / name, kernel_id))
            except (OSError, ValueError) as error:
                broken.append(kernel_id)
                self._set_aside(self.path / name, error)
        return records, broken

    def _tidy(self, name: str) -> None:
        """Remove what a gateway that died left half written."""
        if name.endswith(f"{RECORD}.new"):
            with contextlib.suppress(OSError):
                os.unlink(self.path / name)

    def _set_aside(self, path: Path, error: Exception) -> None:
        aside = path.with_name(path.name + ASIDE)
        try:
            os.replace(path, aside)
            where = f"It is now {aside}; remove it when you have seen it."
        except OSError as refusal:
            where = f"It could not be renamed: {refusal}"
        self._log.error("The record %s is of no use: %s. %s", path, error, where)


def _read(path: Path, kernel_id: str) -> Record:
    """Read a record that nobody else can have written. Raises OSError, and ValueError with what is wrong."""
    # Without waiting: a FIFO of that name would hold us for ever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK)
    try:
        file = open(descriptor, encoding="utf-8")  # noqa: SIM115, closed below
    except OSError:
        os.close(descriptor)
        raise
    with file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no file")
        if status.st_uid != os.geteuid():
            raise ValueError(f"it belongs to the user with the id {status.st_uid}")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise ValueError(f"others may read or write it (mode {stat.S_IMODE(status.st_mode):o})")
        record = Record.loads(file.read())
    if record.kernel_id != kernel_id:
        raise ValueError(f"it is of the kernel {record.kernel_id}")
    return record
