"""How a kernel that waits takes what is its user's: by a comm, from files that the gateway has written beside."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Callable, Mapping, MutableMapping, Sequence

#: The gateway's name for it (kernels/launch/hand_out.py).
TARGET = "kg2at.hand_out"
#: What ipykernel sets where nobody else has (IPKernelApp.initialize).
_DEFAULTS = ("MPLBACKEND",)


class HandOut:
    """Serves once. `base` is the path of the kernel's files without suffix; `take` is called when all is taken."""

    def __init__(self, base: str, comms: Any, take: Callable[[], None]) -> None:
        self._base, self._comms, self._take = base, comms, take

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
        with open(self._base + ".environment", encoding="ascii") as file:
            change(os.environ, json.load(file))
        if hasattr(time, "tzset"):
            time.tzset()
        os.chdir(directory)
        self._take()


def change(environ: MutableMapping[str, str], changes: Mapping[str, Sequence[str | None]]) -> None:
    """Give variables the second value, or none, where they have the first.

    What IPython has set itself stays (TERM, PAGER, ...). Child processes see all of it.
    """
    for name, (before, after) in changes.items():
        if environ.get(name) != before and name not in _DEFAULTS:
            continue
        if after is None:
            environ.pop(name, None)
        else:
            environ[name] = after
