"""Files that nobody else may read: written at once, the only atomic write in kg2at, or line by line."""

from __future__ import annotations

import os
from logging.handlers import WatchedFileHandler
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Write a file with mode 0600 beside `path` and put it in its place, so that nobody ever reads half a file.

    Raises OSError, and leaves the old file then.
    """
    beside = temporary(path)
    beside.unlink(missing_ok=True)
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def temporary(path: Path) -> Path:
    """Return where `write_private` writes first. A program that is killed meanwhile leaves it."""
    return path.with_name(path.name + ".new")


class PrivateLog(WatchedFileHandler):
    """Appends to a file with mode 0600, made when it is not there, also after it was moved away (logrotate).

    Raises OSError when it is made, and when a record finds no file and none can be made.
    """

    def __init__(self, path: str) -> None:
        _make_private(path)
        super().__init__(path, encoding="utf-8")

    def reopenIfNeeded(self) -> None:
        """Called before each record."""
        _make_private(self.baseFilename)
        super().reopenIfNeeded()


def _make_private(path: str) -> None:
    """Make an empty file. No-op for one that is there."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
