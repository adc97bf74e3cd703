"""A directory that nobody else may write into, and files that appear in it whole."""

from __future__ import annotations

import math
import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path


def private_directory(path: Path) -> Path:
    """Make the directory with mode 0700 if it is not there, and return it.

    Raises OSError, also when another user owns it or may write into it.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = path.stat()
    if seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) & 0o022:
        raise PermissionError(f"{path} is another user's, or others may write into it")
    return path


def put_in_place(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written beside `path`, under a name of its own, and put in its place."""
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        write(beside)
        beside.chmod(0o600)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def last_changed(path: Path) -> float:
    """Return when a file was changed, in seconds since 1970; infinity when another process has removed it meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return math.inf
