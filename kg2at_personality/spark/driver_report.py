"""What a driver says of the work that it does: whether it has an application, jobs, executors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from ..json_fields import Fields, parse

#: No clock is beyond it, in seconds since the epoch.
LATEST = 1e11
LAST_PORT = 65535


@dataclass(frozen=True)
class DriverReport:
    """A driver at one moment.

    `is_starting`: its SparkContext is being made. `app_id` is "" while it has none. `jobs` run, with so many `tasks`
    that run or wait, on so many `executors` that have registered. `streams` are streaming queries. `idle_since` is
    when the last job ended, in seconds since the epoch; None while there is work, and before the first job. Its web UI
    listens on `ui_port`, for HTTPS if it `has_https`; 0: it has none, None: a driver of an earlier gateway, which does
    not say.
    """

    is_starting: bool = False
    app_id: str = ""
    jobs: int = 0
    tasks: int = 0
    executors: int = 0
    streams: int = 0
    idle_since: float | None = None
    ui_port: int | None = 0
    has_https: bool = False

    @property
    def is_working(self) -> bool:
        """Whether a job runs, or a streaming query may begin one at any time."""
        return self.jobs > 0 or self.streams > 0

    @property
    def last_end(self) -> datetime:
        """When the last job ended (UTC); the epoch while there is work, and before the first job."""
        return datetime.fromtimestamp(self.idle_since or 0, timezone.utc)

    @property
    def lacks_executors(self) -> bool:
        """Whether it can't go on without an executor, or without the master's answer."""
        return self.is_starting or (self.jobs > 0 and self.executors == 0)


def parsed(content: bytes) -> DriverReport:
    """Return what a driver has written. Raises ValueError for what is no report, such as half of one."""
    fields = Fields(parse(content.decode("ascii")))
    return DriverReport(
        is_starting=fields.one_of("is_starting", (True, False)),
        app_id=fields.text("app_id"),
        jobs=fields.whole("jobs"),
        tasks=fields.whole("tasks"),
        executors=fields.whole("executors"),
        streams=fields.whole("streams"),
        idle_since=fields.or_none("idle_since", lambda name: fields.number(name, least=0, most=LATEST)),
        ui_port=fields.or_none("ui_port", lambda name: fields.whole(name, most=LAST_PORT)),
        has_https=fields.or_none("has_https", lambda name: fields.one_of(name, (True, False))) or False,
    )
