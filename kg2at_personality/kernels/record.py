"""What one kernel's record says: enough for the next gateway to go on with it, or to clean up after it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..admission.queue import AdmissionRequest
from ..spark.cluster import ExecutorRequest

#: Steps of a kernel's life. STARTING: nobody knows its id yet; RESTARTING: its client waits for the next process.
STARTING, RUNNING, RESTARTING, STOPPING = "starting", "running", "restarting", "stopping"
STEPS = (STARTING, RUNNING, RESTARTING, STOPPING)
#: Goes up when an older kg2at could not read it.
VERSION = 1


@dataclass(frozen=True)
class Admission:
    """What a kernel was admitted with, and to the cluster of which masters (their web UIs)."""

    request: AdmissionRequest
    urls: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As `of` reads it. How long its client was patient matters no more."""
        executors = self.request.executors
        return {
            "user": self.request.user,
            "executors": asdict(executors) if executors else None,
            "urls": list(self.urls),
        }

    @classmethod
    def of(cls, content: dict[str, Any], kernel_id: str, kernel_name: str) -> Admission:
        """Raises LookupError, TypeError or ValueError for anything but what `as_json` gave."""
        executors = content["executors"] and ExecutorRequest(**content["executors"])
        request = AdmissionRequest(kernel_id, kernel_name, str(content["user"]), executors or None)
        return cls(request, tuple(map(str, content["urls"])))


@dataclass(frozen=True)
class Record:
    """One kernel.

    `since` is when it was asked for (ISO 8601), `env` what its client sent (None: nothing), `cwd` its directory.
    `pid`, `pgid` and `started` (seconds since the epoch) are its process, None before there is one. `launches` counts
    its processes. `info` is its kernel_info_reply, None before its first answer. `ports` are those that `kernel_ports`
    lent. `sessions` are the rows of Kernel Gateway's sessions that belong to it.
    """

    kernel_id: str
    kernel_name: str
    step: str
    connection_file: str
    since: str
    env: dict[str, str] | None = None
    cwd: str | None = None
    interpreter: str = ""
    pid: int | None = None
    pgid: int | None = None
    started: float | None = None
    launches: int = 0
    info: dict[str, Any] | None = None
    ports: list[int] | None = None
    admission: Admission | None = None
    sessions: list[dict[str, Any]] = field(default_factory=list)

    def dumps(self) -> str:
        """As JSON."""
        content = {each.name: getattr(self, each.name) for each in fields(self)}
        content["admission"] = self.admission and self.admission.as_json()
        return json.dumps(content | {"version": VERSION})

    @classmethod
    def loads(cls, text: str) -> Record:
        """Read what `dumps` wrote. Raises ValueError with what is wrong."""
        try:
            content = json.loads(text)
            if content.pop("version") != VERSION:
                raise ValueError("it is of another version of kg2at")
            if content["admission"] is not None:
                content["admission"] = Admission.of(content["admission"], content["kernel_id"], content["kernel_name"])
            record = cls(**content)
        except (LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"it lacks something, or has too much: {error}") from error
        record.check()
        return record

    def check(self) -> None:
        """Raise ValueError for a field of another type than it is used as."""
        for name, kinds in KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ValueError(f"its {name} is {value!r}")
        if self.step not in STEPS:
            raise ValueError(f"its step is {self.step!r}")


_TEXT, _NUMBER, _NOTHING = (str,), (int,), (type(None),)
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("kernel_id", "kernel_name", "step", "connection_file", "since", "interpreter"), _TEXT),
    **dict.fromkeys(("pid", "pgid"), _NUMBER + _NOTHING),
    "launches": _NUMBER,
    "started": (int, float, *_NOTHING),
    "cwd": _TEXT + _NOTHING,
    "env": (dict, *_NOTHING),
    "info": (dict, *_NOTHING),
    "ports": (list, *_NOTHING),
    "sessions": (list,),
}
