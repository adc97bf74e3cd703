"""What one kernel's record says: enough for the next gateway to go on with it, or to clean up after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from jupyter_client.connect import port_names

from ..admission.request import AdmissionRequest
from ..spark.cluster import AppIdentity, ExecutorRequest

#: Steps of a kernel's life. STARTING: nobody knows its id yet; RESTARTING: its client waits for the next process.
STARTING, RUNNING, RESTARTING, STOPPING = "starting", "running", "restarting", "stopping"
STEPS = (STARTING, RUNNING, RESTARTING, STOPPING)
#: Goes up when an older kg2at could not read it: with 2 came an admission's application.
VERSION = 2


@dataclass(frozen=True)
class Admission:
    """What a kernel was admitted with, and to the cluster of which masters (their web UIs)."""

    request: AdmissionRequest
    urls: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As `of` reads it. How long its client was patient matters no more."""
        executors, application = self.request.executors, self.request.application
        return {
            "user": self.request.user,
            "executors": asdict(executors) if executors else None,
            "urls": list(self.urls),
            "application": asdict(application) if application else None,
        }

    @classmethod
    def of(cls, content: dict[str, Any], kernel_id: str, kernel_name: str) -> Admission:
        """From what `as_json` gave, or that of an older kg2at."""
        executors, application = content["executors"], content.get("application")
        request = AdmissionRequest(
            kernel_id,
            kernel_name,
            content["user"],
            ExecutorRequest(**executors) if executors is not None else None,
            application=AppIdentity(**application) if application is not None else None,
        )
        return cls(request, tuple(content["urls"]))


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
        content = _loads(text, _RECORD)
        datetime.fromisoformat(content["since"])
        del content["version"]
        if content["admission"] is not None:
            content["admission"] = Admission.of(content["admission"], content["kernel_id"], content["kernel_name"])
        return cls(**content)


def read_connection_file(path: str) -> Any:
    """A kernel's connection file, with all that jupyter_client needs in it. Raises OSError and ValueError."""
    with open(path, encoding="utf-8") as file:
        return _loads(file.read(), _CONNECTION)


def _loads(text: str, schema: Draft202012Validator) -> Any:
    """Read JSON that has to be as `schema` says. Raises ValueError with what is wrong."""
    try:
        content = json.loads(text, parse_constant=_refuse_number)
        error = best_match(schema.iter_errors(content))
    except RecursionError as nested:
        raise ValueError("it is nested too deep") from nested
    if error is not None:
        where = ".".join(map(str, error.absolute_path))
        raise ValueError(f"its {where}: {error.message}" if where else error.message)
    return content


def _refuse_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _object(optional: Mapping[str, Any] | None = None, more: bool = False, **required: Any) -> dict[str, Any]:
    """The schema of an object with these properties; with `more`, of one that may have others."""
    properties = required | dict(optional or {})
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": more,
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_TEXT, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
_PID = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
_EXECUTORS = _object(
    cores_max=_COUNT,
    executor_cores=_or_null(_COUNT),
    executor_memory_mib=_COUNT,
    initial_executors=_or_null(_COUNT),
)
_ADMISSION = _object(
    user=_TEXT,
    executors=_or_null(_EXECUTORS),
    urls={"type": "array", "items": _TEXT},
    optional={"application": _or_null(_object(name=_TEXT, user=_or_null(_TEXT)))},
)
_SESSION = _object(more=True, session_id=_TEXT, path=_or_null(_TEXT), kernel_id=_TEXT)
_RECORD = Draft202012Validator(
    _object(
        version={"enum": list(range(1, VERSION + 1))},
        kernel_id=_TEXT,
        kernel_name=_TEXT,
        step={"enum": list(STEPS)},
        connection_file={"type": "string", "minLength": 1, "pattern": r"^[^\0]*$"},
        since=_TEXT,
        admission=_or_null(_ADMISSION),
        optional={
            "env": _or_null({"type": "object", "additionalProperties": _TEXT}),
            "cwd": _or_null(_TEXT),
            "interpreter": _TEXT,
            "pid": _or_null(_PID),
            "pgid": _or_null(_PID),
            "started": _or_null({"type": "number", "minimum": 0, "maximum": 1e12}),
            "launches": _COUNT,
            "info": _or_null({"type": "object"}),
            "ports": _or_null({"type": "array", "items": _PORT, "minItems": 5, "maxItems": 5}),
            "sessions": {"type": "array", "items": _SESSION},
        },
    )
)
_CONNECTION = Draft202012Validator(
    _object(more=True, key=_TEXT, ip=_TEXT, **dict.fromkeys(port_names, _PORT), optional={"kernel_name": _TEXT})
)
