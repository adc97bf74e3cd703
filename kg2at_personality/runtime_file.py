"""The file by which a running gateway tells its own user's commands where it is: `kg2at-<port>.json`.

It lies in the Jupyter runtime directory, holds the token if there is one for all, and is readable by its owner alone.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
from dataclasses import dataclass
from pathlib import Path

from .json_fields import Fields, parse
from .system.private_file import write_private
from .system.processes import exists

PATTERN = "kg2at-{}.json"


@dataclass(frozen=True)
class RuntimeFile:
    """What the file at `path` says: how to reach the gateway, and the id of its process.

    `certfile` is the absolute path of the certificate that the gateway shows, by which its user's commands recognise
    it; "" without https. `token` is "" when the gateway wants none, or each user has their own.
    """

    path: str
    url: str
    token: str
    pid: int
    certfile: str = ""

    def remove(self) -> None:
        """Remove the file; no-op if that fails. Called when the gateway ends."""
        with contextlib.suppress(OSError):
            os.remove(self.path)


def write(directory: str, port: int, url: str, token: str, certfile: str = "") -> RuntimeFile:
    """Write the file of this process, and its directory. Called when the gateway listens. Raises OSError."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    path = os.path.join(directory, PATTERN.format(port))
    written = RuntimeFile(path, url, token, os.getpid(), os.path.abspath(certfile) if certfile else "")
    content = {"url": written.url, "token": written.token, "pid": written.pid, "certfile": written.certfile}
    write_private(Path(path), json.dumps(content).encode())
    return written


def running(directory: str) -> list[RuntimeFile]:
    """Return the files whose process exists, by name; what a crash left and what can't be read is left out."""
    paths = sorted(glob.glob(os.path.join(glob.escape(directory), PATTERN.format("*"))))
    return [found for found in map(_read, paths) if found is not None and exists(found.pid)]


def _read(path: str) -> RuntimeFile | None:
    """Return what the file says; None when it can't be read, or is none of ours."""
    try:
        content = Fields(parse(Path(path).read_text(encoding="utf-8")))
        return RuntimeFile(
            path, content.text("url"), content.text("token"), content.whole("pid"), content.text("certfile", "")
        )
    except (OSError, ValueError):
        return None
