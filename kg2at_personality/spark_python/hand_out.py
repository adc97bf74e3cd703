"""How a kernel that waits takes what is its user's: by a comm, from files that the gateway has written beside."""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Mapping

#: The gateway's name for it (kernels/launch/hand_out.py).
TARGET = "kg2at.hand_out"
#: What ipykernel sets where nobody else has (IPKernelApp.initialize).
_DEFAULTS = ("MPLBACKEND",)


class HandOut:
    """Serves once. `base` is the path of the kernel's files without suffix; `take` is called when all is taken."""

    def __init__(self, base: str, comms: Any, began_with: Mapping[str, str], take: Callable[[], None]) -> None:
        self._base, self._comms, self._began_with, self._take = base, comms, began_with, take

    def wait(self) -> None:
        """Serve from now on."""
        self._comms.register_target(TARGET, self._open)

    def _open(self, comm: Any, message: Any) -> None:
        """Take everything, and tell how it went. Called by ipykernel when the gateway opens the comm."""
        self._comms.unregister_target(TARGET, self._open)
        try:
            self._take_all(message["content"]["data"]["directory"])
            comm.close(data={"status": "ok"})
        except Exception as error:
            comm.close(data={"status": "error", "error": type(error).__name__})

    def _take_all(self, directory: str) -> None:
        with open(self._base + ".environment", "rb") as file:
            lines = [os.fsdecode(line) for line in file.read().split(b"\0")[:-1]]
        replace_environment(os.environ, self._began_with, dict(line.split("=", 1) for line in lines))
        if hasattr(time, "tzset"):
            time.tzset()
        os.chdir(directory)
        self._take()


def replace_environment(environ: Any, began_with: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Give a process the environment of another start, and what it has set itself (IPython: TERM, PAGER, ...).

    Child processes see it too.
    """
    own = {name: value for name, value in environ.items() if began_with.get(name) != value}
    defaults = {name: own.pop(name) for name in _DEFAULTS if name in own}
    environ.clear()
    environ.update({**defaults, **wanted, **own})
