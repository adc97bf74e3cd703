"""The jobs that run in a driver, as its REST API tells them (`/api/v1/applications/ID/jobs?status=running`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from ..json_fields import FieldError, Fields, parse

#: How many are told, and how long their names may be.
MOST, LONGEST_NAME = 20, 200


@dataclass(frozen=True)
class Job:
    """One job: `done` of its `tasks` have ended well, `failed` is how often one did not; `began` is None if not told.

    Tasks and stages that Spark skips, as their output is there, are not counted, as in its UI (AllJobsPage).
    """

    id: int
    name: str
    tasks: int
    done: int
    failed: int
    stages: int
    stages_done: int
    began: datetime | None = None


def parsed(content: bytes) -> tuple[Job, ...]:
    """Return the jobs, the oldest first, at most MOST. Raises ValueError for what is no list of jobs."""
    rows = parse(content.decode())
    if not isinstance(rows, list):
        raise FieldError("it is no list")
    jobs = sorted(_jobs(rows), key=lambda job: job.id)
    return tuple(jobs[:MOST])


def _jobs(rows: list[object]) -> Iterator[Job]:
    """Read rows of Spark's JobData (status/api/v1/api.scala, 3.5)."""
    for row in map(Fields, rows):
        skipped_stages = row.whole("numSkippedStages", 0)
        yield Job(
            id=row.whole("jobId"),
            name=(row.or_none("description", row.text) or row.text("name", ""))[:LONGEST_NAME],
            tasks=max(row.whole("numTasks") - row.whole("numSkippedTasks", 0), 0),
            done=row.whole("numCompletedIndices", row.whole("numCompletedTasks", 0)),
            failed=row.whole("numFailedTasks", 0),
            stages=max(len(row.wholes("stageIds", least=0, most=2**31 - 1)) - skipped_stages, 0),
            stages_done=row.whole("numCompletedStages", 0),
            began=_time(row.or_none("submissionTime", row.text)),
        )


def _time(text: str | None) -> datetime | None:
    """Read Spark's 2026-11-26T22:15:30.307GMT (JacksonMessageWriter.makeISODateFormat); None for anything else."""
    try:
        return datetime.strptime(text or "", "%Y-%m-%dT%H:%M:%S.%fGMT").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
