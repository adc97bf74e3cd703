"""The file by which a running gateway tells its own user's commands where it is: `kg2at-<port>.json`.

It lies in the Jupyter runtime directory, holds the token, and is readable by its owner alone.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from .system.private_file import write_private
from .system.processes import exists

PATTERN = "kg2at-{}.json"


@dataclass(frozen=True)
class RuntimeFile:
    """What the file says: how to reach the gateway, and the process that it is.

    `certfile` has the certificate that it shows, by which its user's commands know it; "" without https.
    """

    url: str
    token: str
    pid: int
    path: str = ""
    certfile: str = ""

    def remove(self) -> None:
        """Called when the gateway ends; one that is gone is fine."""
        with contextlib.suppress(OSError):
            os.remove(self.path)


def write(directory: str, port: int, url: str, token: str, certfile: str = "") -> RuntimeFile:
    """Called when the gateway listens. Raises OSError."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    path = os.path.join(directory, PATTERN.format(port))
    here = RuntimeFile(url, token, os.getpid(), path, os.path.abspath(certfile) if certfile else "")
    content = asdict(here)
    del content["path"]
    write_private(Path(path), json.dumps(content).encode())
    return here


def running(directory: str) -> list[RuntimeFile]:
    """The gateways whose process lives. A file that a crash left, or that is none of ours, is passed over."""
    paths = sorted(glob.glob(os.path.join(glob.escape(directory), PATTERN.format("*"))))
    return [found for found in map(_read, paths) if found is not None and exists(found.pid)]


def _read(path: str) -> RuntimeFile | None:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        certfile = str(content.get("certfile", ""))
        return RuntimeFile(str(content["url"]), str(content["token"]), int(content["pid"]), path, certfile)
    except (OSError, ValueError, LookupError, TypeError):
        return None
