"""The tables of a gateway's status: clusters, kernels, who waits for cores."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..errors import KG2ATError
from ..plural import counted, span
from .output import Row, print_table, printable

CLUSTER = {"master": "master", "status": "status", "cores": "cores", "memory": "memory", "workers": "workers"}
CLUSTER |= {"age": "as of", "error": "error"}
KERNELS = {"kernel_id": "kernel", "name": "name", "user": "user", "cores": "cores", "state": "state"}
KERNELS |= {"idle": "idle for", "app_id": "application", "pid": "pid", "since": "since"}
QUEUE = {"position": "place", "name": "name", "user": "user", "cores": "waits for", "waited": "waited"}
QUEUE |= {"app_id": "application"}
WARM = {"kernel_id": "kernel", "name": "name", "state": "state", "age": "started", "pid": "pid"}
FAILURES = {"time": "when", "name": "kernel", "user": "user", "what": "what", "message": "why"}
#: Failures that are shown; the page and --json have more.
MOST_FAILURES = 5
MISSED = {"count": "starts", "reason": "why no kernel that waited was given"}


def print_status(url: str, status: Mapping[str, Any]) -> None:
    """Print what `/kg2at/status` says as tables; a part that is empty or missing is a line, or left out."""
    print(f"{url} at {time.strftime('%H:%M:%S')}")
    clusters = [each["cluster"] for each in rows_of(status, "clusters") if isinstance(each.get("cluster"), dict)]
    clusters = clusters or ([status["cluster"]] if isinstance(status.get("cluster"), dict) else [])
    _section("", [_cluster(each) for each in clusters], CLUSTER, "No kernel has asked for a standalone cluster yet.")
    _section("Kernels", [_kernel(row) for row in rows_of(status, "kernels")], KERNELS, "No kernels.")
    _section("Waiting", [_waiter(row) for row in rows_of(status, "queue")], QUEUE, "Nobody waits.")
    rows = [_kernel(row) for row in rows_of(status, "zombies")]
    columns = {name: name.replace("_", " ") for row in rows for name in row}
    _section("Zombies: ended, but they won't go", rows, columns, "")
    failures = [dict(row) | {"time": _clock(row.get("time"))} for row in rows_of(status, "failures")]
    _section("The last failures and refusals", failures[:MOST_FAILURES], FAILURES, "")
    if isinstance(warm := status.get("warm"), dict):
        print(f"\n{_warm_line(warm)}")


def warm_of(status: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Return the part about kernels that wait for users. Raises KG2ATError when that gateway has none."""
    warm = status.get("warm")
    if not isinstance(warm, dict):
        raise KG2ATError(f"The gateway at {url} is of a kg2at that has no kernels wait for users.")
    return warm


def print_warm(url: str, warm: Mapping[str, Any]) -> None:
    """Print that part as tables: what waits, what was handed out, what was missed and why."""
    print(f"{url} at {time.strftime('%H:%M:%S')}")
    waiting = [_waiting(row) for row in rows_of(warm, "kernels")]
    _section("Kernels that wait for users", waiting, WARM, "No kernel waits for a user.")
    if paused := warm.get("paused"):
        print(f"None is started now: {printable(paused)}.")
    print(f"\n{_handed_out(warm)}")
    missed = sorted(_missed(warm).items(), key=lambda item: -item[1])
    rows = [{"count": count, "reason": reason} for reason, count in missed]
    _section("Started anew", rows, MISSED, "")


def _warm_line(warm: Mapping[str, Any]) -> str:
    """Return a sentence for the status, which `jupyter kg2at warm` says more of."""
    count = len(rows_of(warm, "kernels"))
    waits = f"{counted(count, 'kernel')} {'waits' if count == 1 else 'wait'} for users" if count else ""
    return f"{waits or 'No kernel waits for a user'}. {_handed_out(warm)}"


def _handed_out(warm: Mapping[str, Any]) -> str:
    given, anew = warm.get("handed_out"), sum(_missed(warm).values())
    given = given if isinstance(given, int) else 0
    of_all = f"{given} of {counted(given + anew, 'start')} got a kernel that had waited"
    return f"{of_all}." if given + anew else "No kernel was started for a user yet."


def _missed(warm: Mapping[str, Any]) -> dict[str, int]:
    """Return how many starts got none, by reason."""
    missed = warm.get("missed")
    known = missed.items() if isinstance(missed, dict) else ()
    return {reason: count for reason, count in known if isinstance(count, int)}


def _waiting(row: Row) -> dict[str, Any]:
    age = _span_since(row.get("since"))
    return dict(row) | {"age": age and f"{age} ago"}


def _section(title: str, rows: list[dict[str, Any]], columns: Mapping[str, str], empty: str) -> None:
    """Print a part: the columns that have a value in some row, or the line `empty` without rows."""
    if not rows:
        print(end=f"\n{empty}\n" if empty else "")
        return
    print(f"\n{title}" if title else "")
    print_table(rows, {key: heading for key, heading in columns.items() if any(row.get(key) for row in rows)})


def rows_of(status: Mapping[str, Any], key: str) -> list[Row]:
    """Return the rows of a part of the status; [] when it has none, or something else."""
    rows = status.get(key)
    if isinstance(rows, dict):  # a part with a single row
        rows = [rows]
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _cluster(cluster: Row) -> dict[str, Any]:
    row = {key: cluster.get(key) for key in ("master", "status", "workers", "error")}
    free, total = cluster.get("cores_free"), cluster.get("cores_total")
    cores = [f"{free} of {total} free"] if total is not None else []
    if promised := cluster.get("cores_promised"):
        cores.append(f"{promised} promised")
    memory = [_gib(cluster.get(key)) for key in ("memory_free_mib", "memory_total_mib")]
    age = _span(cluster.get("age_s"))
    return row | {
        "cores": ", ".join(cores),
        "memory": f"{memory[0]} of {memory[1]} free" if all(memory) else "",
        "age": age and f"{age} ago",
    }


def _kernel(kernel: Row) -> dict[str, Any]:
    """Return the row with its times in words, and the cores that it holds of those that it was admitted with.

    Those that it gave back are in its state, so that the table stays narrow.
    """
    row = dict(kernel) | {"idle": _span_since(kernel.get("idle_since"))}
    if "since" in kernel:
        row["since"] = _clock(kernel["since"])
    if kernel.get("cores_admitted"):
        row["cores"] = f"{kernel.get('cores_held')} of {kernel['cores_admitted']}"
    return row


def _waiter(waiter: Row) -> dict[str, Any]:
    cores = waiter.get("cores")
    wanted = counted(cores, "core") if isinstance(cores, int) else cores
    return dict(waiter) | {"cores": wanted, "waited": _span(waiter.get("waited_s"))}


def _gib(mib: Any) -> str:
    return f"{mib / 1024:.1f} GiB" if isinstance(mib, (int, float)) else ""


def _span(seconds: Any) -> str:
    """Return seconds as a person says them; what is no number, as it is."""
    if isinstance(seconds, (int, float)):
        return span(seconds)
    return "" if seconds is None else str(seconds)


def _span_since(moment: Any) -> str:
    """Return how long the gateway's time is ago; "" for what is no time."""
    since = _local(moment)
    return span(max(0.0, time.time() - since.timestamp())) if since else ""


def _clock(since: Any) -> Any:
    """Return the gateway's time in this machine's time zone; what is no time, as it is."""
    moment = _local(since)
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment else since


def _local(since: Any) -> datetime | None:
    """Return the gateway's time (ISO 8601, UTC) in this machine's time zone; None for what is no time."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromisoformat(str(since).replace("Z", "+00:00")).astimezone()
    return None
