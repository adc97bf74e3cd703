"""What one kernel's record says: enough for the next gateway to go on with it, or to clean up after it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from functools import partial
from typing import Any

from jupyter_client.connect import port_names

from ..admission.request import AdmissionRequest
from ..json_fields import FieldError, Fields, parse
from ..spark.cluster import AppIdentity, ExecutorRequest

#: Steps of a kernel's life. STARTING: nobody knows its id yet; RESTARTING: its client waits for the next process.
#: WARM: it waits for a user, and is nobody's.
STARTING, RUNNING, RESTARTING, STOPPING, WARM = "starting", "running", "restarting", "stopping", "warm"
STEPS = (STARTING, RUNNING, RESTARTING, STOPPING, WARM)
#: Goes up when an older kg2at could not read it: with 2 came an admission's application, with 3 the line of a wait,
#: with 4 whether it is set up, and kernels that wait for a user, with 5 its owner.
VERSION = 5
#: The largest process id and the largest port.
PIDS, PORTS = 2**31 - 1, 65535


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
    def of(cls, admission: Fields, kernel_id: str, kernel_name: str) -> Admission:
        """Return what `as_json` was made of, here or in an older kg2at. Raises ValueError with what is wrong."""
        admission.only(["user", "executors", "urls", "application"])
        executors = admission.or_none("executors", admission.nested, required=True)
        application = admission.or_none("application", admission.nested)
        request = AdmissionRequest(
            kernel_id,
            kernel_name,
            admission.text("user"),
            _executors(executors) if executors is not None else None,
            application=_application(application) if application is not None else None,
        )
        return cls(request, tuple(admission.texts("urls")))


@dataclass(frozen=True)
class WaitLine:
    """The line that a notebook shows under a cell that waits for cores: the next gateway has to replace or remove it.

    `cell` is the header of the execute_request, `session` the session id that its websocket was opened with ("": none).
    `is_alone`: nothing else has been shown under the cell.
    """

    cell: dict[str, Any]
    display_id: str
    session: str
    is_alone: bool

    @classmethod
    def of(cls, line: Fields) -> WaitLine:
        """Return what `asdict` made of one. Raises ValueError with what is wrong."""
        line.only([each.name for each in fields(cls)])
        cell = line.nested("cell")
        cell.text("msg_id")
        is_alone = line.one_of("is_alone", (False, True))
        return cls(cell.content, line.text("display_id"), line.text("session"), is_alone)


@dataclass(frozen=True)
class Record:
    """One kernel.

    `since` is when it was asked for (ISO 8601), `env` what its client sent (None: nothing), `cwd` its directory.
    `owner` is the user whom it belongs to ("": the administrators). `pid`, `pgid` and `started` (seconds since the
    epoch) are its process, None before there is one. `launches` counts its processes. `info` is its kernel_info_reply,
    None before its first answer; `is_set_up`: it has run the cell that prepares it. `ports` are those that
    `kernel_ports` lent. `sessions` are the rows of Kernel Gateway's sessions that belong to it. `wait_line` is what a
    notebook of it shows while its cell waits for cores, None when it shows none.
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
    is_set_up: bool = True
    ports: list[int] | None = None
    admission: Admission | None = None
    sessions: list[dict[str, Any]] = field(default_factory=list)
    wait_line: WaitLine | None = None
    owner: str = ""

    def dumps(self) -> str:
        """As JSON."""
        content = {each.name: getattr(self, each.name) for each in fields(self)}
        content["admission"] = self.admission and self.admission.as_json()
        content["wait_line"] = self.wait_line and asdict(self.wait_line)
        return json.dumps(content | {"version": VERSION})

    @classmethod
    def loads(cls, text: str) -> Record:
        """Return what `dumps` wrote. Raises ValueError with what is wrong."""
        record = Fields(parse(text))
        record.one_of("version", range(1, VERSION + 1))
        record.only(["version", *(each.name for each in fields(cls))])
        datetime.fromisoformat(record.text("since"))
        kernel_id, kernel_name = record.text("kernel_id"), record.text("kernel_name")
        admission = record.or_none("admission", record.nested, required=True)
        wait_line = record.or_none("wait_line", record.nested)
        pid = partial(record.whole, least=1, most=PIDS)
        return cls(
            kernel_id=kernel_id,
            kernel_name=kernel_name,
            step=record.one_of("step", STEPS),
            connection_file=_path(record),
            since=record.text("since"),
            env=record.or_none("env", record.text_map),
            cwd=record.or_none("cwd", record.text),
            interpreter=record.text("interpreter", ""),
            pid=record.or_none("pid", pid),
            pgid=record.or_none("pgid", pid),
            started=record.or_none("started", partial(record.number, least=0, most=1e12)),
            launches=record.whole("launches", 0),
            info=record.or_none("info", lambda name: record.nested(name).content),
            is_set_up=record.one_of("is_set_up", (False, True)) if "is_set_up" in record.content else True,
            ports=record.or_none("ports", partial(_ports, record)),
            admission=Admission.of(admission, kernel_id, kernel_name) if admission is not None else None,
            sessions=_sessions(record),
            wait_line=WaitLine.of(wait_line) if wait_line is not None else None,
            owner=record.text("owner", ""),
        )


def read_connection_file(path: str) -> dict[str, Any]:
    """Return a kernel's connection file, which has all that jupyter_client needs. Raises OSError and ValueError."""
    with open(path, encoding="utf-8") as file:
        connection = Fields(parse(file.read()))
    for name in ("key", "ip"):
        connection.text(name)
    for name in port_names:
        connection.whole(name, least=1, most=PORTS)
    connection.text("kernel_name", "")
    return connection.content


def _executors(executors: Fields) -> ExecutorRequest:
    executors.only([each.name for each in fields(ExecutorRequest)])
    return ExecutorRequest(
        cores_max=executors.whole("cores_max"),
        executor_cores=executors.or_none("executor_cores", executors.whole, required=True),
        executor_memory_mib=executors.whole("executor_memory_mib"),
        initial_executors=executors.or_none("initial_executors", executors.whole, required=True),
    )


def _application(application: Fields) -> AppIdentity:
    application.only([each.name for each in fields(AppIdentity)])
    user = application.or_none("user", application.text, required=True)
    return AppIdentity(application.text("name"), user)


def _path(record: Fields) -> str:
    path = record.text("connection_file")
    if not path or "\0" in path:
        raise FieldError("'connection_file': expected the path of a file")
    return path


def _ports(record: Fields, name: str) -> list[int]:
    ports = record.wholes(name, least=1, most=PORTS)
    if len(ports) != len(port_names):
        raise FieldError(f"{name!r}: expected {len(port_names)} ports, got {len(ports)}")
    return ports


def _sessions(record: Fields) -> list[dict[str, Any]]:
    rows = list(record.rows("sessions"))
    for row in rows:
        row.text("session_id")
        row.or_none("path", row.text, required=True)
        row.text("kernel_id")
        row.text("owner", "")
    return [row.content for row in rows]
