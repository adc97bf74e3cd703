"""What the page shows, of the rows of the status: words and lengths of bars, nothing of HTML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ...kernels.user import GatewayUser
from ...plural import counted, span
from ..cluster_shares import CORES, MEMORY, shares

Row = dict[str, Any]
#: Most workers, kernels and starts that wait that are shown, so that the page takes little of the gateway's loop; the
#: status has all.
MOST = 100
#: How it is said whose a part of a bar is: of each of SHARES.
KINDS = {"notebooks": "held by notebooks", "others": "used by others", "promised": "promised", "free": "free"}


@dataclass(frozen=True)
class Part:
    """A part of a bar: `kind` is one of KINDS, `text` the amount and whose it is; `x` and `width` are in percent."""

    kind: str
    text: str
    x: float
    width: float


@dataclass(frozen=True)
class Bar:
    """A quantity that several have parts of: cores or memory."""

    title: str
    total: str
    parts: list[Part]

    @property
    def text(self) -> str:
        """The same in words."""
        return f"{self.title}: {self.total} in all; {', '.join(part.text for part in self.parts)}"


def page_of(status: Row, user: GatewayUser, now: datetime | None = None) -> Row:
    """Return what the page's templates show of a status; `now` is the time in UTC."""
    now = now or datetime.now(timezone.utc)
    places = {row["kernel_id"]: row for row in status["queue"]}
    kernels, queue = status["kernels"], [row for row in status["queue"] if row["app_id"] is None]
    return {
        "user": user.name,
        "is_admin": user.is_admin,
        "clusters": [_cluster(each["cluster"]) for each in status["clusters"]],
        "kernels": [_kernel(row, places.get(row["kernel_id"]), now) for row in kernels[:MOST]],
        "more_kernels": len(kernels) - MOST,
        "queue": [_waiter(row) for row in queue[:MOST]],
        "more_waiters": len(queue) - MOST,
        "warm": [_warm(row, now) for row in status["warm"]["kernels"]],
        "warm_paused": status["warm"]["paused"],
        "zombies": [row | {"since": _clock(row["since"])} for row in status["zombies"]],
        "failures": [row | {"time": _clock(row["time"])} for row in status["failures"]],
        "time": _clock(now),
    }


# Clusters.


def _cluster(cluster: Row) -> Row:
    """Return a cluster's name, state, bars and workers."""
    is_known, workers = cluster["age_s"] is not None, cluster["worker_list"]
    return {
        "name": cluster["master"] or "The cluster",
        "status": cluster["status"],
        "error": cluster.get("error", ""),
        "age": span(cluster["age_s"]) if is_known else "",
        "bars": [_cores(cluster), _memory(cluster)] if is_known else [],
        "workers": [_worker(each) for each in workers[:MOST]],
        "more_workers": len(workers) - MOST,
    }


def _cores(cluster: Row) -> Bar:
    return _bar("Cores", cluster["cores_total"], shares(cluster, CORES), str)


def _memory(cluster: Row) -> Bar:
    return _bar("Memory", cluster["memory_total_mib"], shares(cluster, MEMORY), _gib)


def _bar(title: str, total: int, amounts: dict[str, int], shown: Callable[[int], str]) -> Bar:
    parts, x = [], 0.0
    for kind, amount in amounts.items():
        width = 100 * amount / total if total else 0.0
        if amount or kind == "free":
            parts.append(Part(kind, f"{shown(amount)} {KINDS[kind]}", round(x, 2), round(width, 2)))
        x += width
    return Bar(title, shown(total), parts)


def _worker(worker: Row) -> Row:
    used, of_all = _gib(worker["memory_used_mib"]), _gib(worker["memory_mib"])
    return {
        "host": worker["host"],
        "state": worker["state"].lower(),
        "cores": f"{worker['cores_used']} of {worker['cores']}",
        "memory": f"{used} of {of_all}",
    }


# Kernels.


def _kernel(row: Row, place: Row | None, now: datetime) -> Row:
    """Return what is shown of a kernel beside its row: its state in plain `words`, its `kind` for a colour."""
    kind, words = _state(row, place, now)
    cores = f"{row['cores_held']} of {row['cores_admitted']}" if row["cores_admitted"] else ""
    jobs, more_jobs = [_job(job) for job in row["jobs"]], row["jobs_running"] - len(row["jobs"])
    shown = {"kind": kind, "words": words, "cores": cores, "since": _clock(row["since"])}
    return row | shown | {"jobs": jobs, "more_jobs": more_jobs}


def _state(row: Row, place: Row | None, now: datetime) -> tuple[str, str]:
    state = row["execution_state"]
    if state == "dead":
        return "dead", f"dead: {row['reason']}"
    if place is not None:
        wait = f"for {counted(place['cores'], 'core')}, place {place['position']}, for {span(place['waited_s'])}"
        return "waiting", f"waiting {wait}"
    if state != "idle":
        return state, state
    words = f"idle for {_age(row['idle_since'], now)}" if row["idle_since"] else "idle, Spark works for it"
    return "idle", words + _context(row)


def _context(row: Row) -> str:
    """Return what became of the Spark context of an idle kernel, if that is worth a word."""
    if row["lease"] == "resting":
        return "; context stopped"
    if row["lease"] == "promised":
        return "; Spark not used yet"
    return f"; {counted(row['given_back'], 'core')} given back" if row["given_back"] else ""


def _job(job: Row) -> Row:
    """Return a job with its share of tasks that are done, in words too."""
    words = f"{job['done']} of {counted(job['tasks'], 'task')}"
    return job | {"words": words + (f", {job['failed']} failed" if job["failed"] else "")}


def _waiter(row: Row) -> Row:
    return row | {"cores": counted(row["cores"], "core"), "waited": span(row["waited_s"])}


def _warm(row: Row, now: datetime) -> Row:
    return row | {"age": _age(row["since"], now)}


def _age(moment: datetime, now: datetime) -> str:
    return span(max(0.0, (now - moment).total_seconds()))


def _clock(moment: datetime) -> Row:
    """Return a time for people, and for the page's script, which shows it in the reader's own time zone."""
    return {"iso": moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "text": moment.strftime("%Y-%m-%d %H:%M:%S UTC")}


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"
