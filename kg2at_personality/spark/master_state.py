"""The state of a cluster, read from a master's JSON (`JsonProtocol.writeMasterState`) of Spark 2.0 to 3.5."""

from __future__ import annotations

from ..errors import MalformedAnswer
from ..json_fields import FieldError, Fields
from .cluster import ALIVE, App, ClusterState, Worker


def cluster_state(payload: object, where: str = "the master's JSON", now: float | None = None) -> ClusterState:
    """Return what a master's `/json/`, parsed, says.

    Unknown keys are ignored. Missing ones count as nothing free, but `status` and `workers` must be there. `where` is
    the address that answered. `now` is what the master's clock said then, in seconds since the epoch: by it
    applications have an age. Raises MalformedAnswer with `where` in it when a value is of the wrong kind.
    """
    try:
        return _state(Fields(payload), now)
    except FieldError as error:
        raise MalformedAnswer(where, str(error)) from None


def _state(fields: Fields, now: float | None) -> ClusterState:
    for key in ("status", "workers"):
        if key not in fields.content:
            raise FieldError(f"no {key!r} in it: this is not the JSON of a Spark master")
    workers = tuple(map(_worker, fields.rows("workers")))
    apps, completed = (_apps(fields, key, workers, now) for key in ("activeapps", "completedapps"))
    return ClusterState(fields.text("url", ""), fields.text("status"), workers, apps, completed)


def _worker(row: Fields) -> Worker:
    cores, memory = row.whole("cores", 0), row.whole("memory", 0)
    return Worker(
        host=row.text("host", ""),
        state=row.text("state", ""),
        cores=cores,
        cores_used=row.whole("coresused", cores),
        memory_mib=memory,
        memory_used_mib=row.whole("memoryused", memory),
        id=row.text("id", ""),
        web_ui=row.text("webuiaddress", ""),
    )


def _apps(fields: Fields, key: str, workers: tuple[Worker, ...], now: float | None) -> tuple[App, ...]:
    if "aliveworkers" in fields.content:
        return tuple(_app(row, row.whole("cores", 0), now) for row in fields.rows(key))
    used = sum(worker.cores_used for worker in workers if worker.state == ALIVE)
    return tuple(_app(row, _granted_before_23(row, used), now) for row in fields.rows(key))


def _granted_before_23(row: Fields, used: int) -> int:
    """Estimate the cores of an application at a master before Spark 2.3 (SPARK-19824), which has no `aliveworkers`.

    There `cores` is what it asked for, left out if it asked for all. So it has nothing while it waits, else all that it
    asked for, but no more than the `used` cores of the whole cluster.
    """
    return 0 if row.text("state", "") == "WAITING" else min(row.whole("cores", used), used)


def _app(row: Fields, cores: int, now: float | None) -> App:
    age = None if now is None else _age(row, now)
    return App(row.text("id", ""), row.text("name", ""), row.text("user", ""), cores, age)


def _age(row: Fields, now: float) -> float | None:
    """Return the seconds since `starttime`, which is in milliseconds since the epoch."""
    began = row.whole("starttime", -1)
    return None if began < 0 else now - began / 1000
