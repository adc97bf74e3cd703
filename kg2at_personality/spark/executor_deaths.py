"""The executors of an application that end by themselves, one after the other, and what the last one said.

A master starts another one at once, without end: it counts those that fail in a row
(`spark.deploy.maxExecutorRetries`), but each process that starts is RUNNING and sets the count to 0
(`Master.receive`, ExecutorStateChanged; seen with 3.5.9: 400 in 12 s). So a job waits for ever, in an application that
has its cores.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from ..errors import MasterUnreachable
from .application_page import Executor, executors
from .cluster import ALIVE, Worker
from .log_excerpt import excerpt
from .master import MasterClient
from .redaction import Redactor

#: Bytes of an application's page that are read: some 900 executors, the running and exited ones first.
MAX_PAGE = 512 * 1024
#: Bytes of the end of a log; lines of it that are told, and characters of each.
MAX_LOG, MOST_LINES, MAX_LINE = 16 * 1024, 5, 300
#: How an executor ends by itself; KILLED is what its driver asked for, as dynamic allocation does.
DEAD = frozenset({"EXITED", "FAILED", "LOST"})
#: The first line of what a worker answers (`LogPage.renderLog`); the second group is 0 for no log, or an empty one.
_HEADER = re.compile(r"==== Bytes ([0-9]{1,18})-([0-9]{1,18}) of ")
#: What a worker writes below the command, before the executor itself says anything (`ExecutorRunner`).
_RULE = "=" * 40


@dataclass(frozen=True)
class ExecutorDeaths:
    """How many executors of an application have ended by themselves; so many of them at least when its page is long.

    One answer can't tell those that end now from those that ended days ago: the count grows in the next one, unless it
    is at its bound. `last_lines` say why the last one ended: at most MOST_LINES, printable and without secrets; () when
    its worker does not answer.
    """

    count: int = 0
    last_lines: tuple[str, ...] = ()


async def executor_deaths(client: MasterClient, app_id: str, redactor: Redactor) -> ExecutorDeaths:
    """Ask the ALIVE master for the application's executors, and a worker for the log of the last dead one.

    None are dead while no master is ALIVE, and in an application that the master doesn't know. Raises
    MasterUnreachable. The master makes a page of all executors that ever were: ask in pauses that grow.
    """
    state = await client.state()
    if state.status != ALIVE:
        return ExecutorDeaths()
    page = await client.text(f"/app/?{urlencode({'appId': app_id})}", MAX_PAGE)
    found = await asyncio.to_thread(executors, page, app_id)
    dead = [executor for executor in found if executor.state in DEAD]
    if not dead:
        return ExecutorDeaths()
    last = max(dead, key=lambda executor: executor.id)
    lines = await _last_lines(client, _log_address(last, state.workers), app_id, last.id, redactor)
    return ExecutorDeaths(len(dead), tuple(lines))


def _log_address(executor: Executor, workers: Sequence[Worker]) -> str:
    """Return where the executor's worker shows logs; "" when the master's answer has no such worker that is ALIVE.

    It is never what a page links to: no page sends the gateway elsewhere.
    """
    alive = {worker.id: worker for worker in workers if worker.state == ALIVE}
    worker = alive.get(executor.worker_id)
    if worker is None:
        return ""
    if executor.is_proxied:
        return f"/proxy/{quote(worker.id, safe='')}/log/"
    return f"{worker.web_ui}/log/" if _is_web_address(worker.web_ui) else ""


def _is_web_address(url: str) -> bool:
    """Return whether it is scheme, host and port and nothing else, as every worker tells it."""
    try:
        parts = urlsplit(url)
        is_host = bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and is_host and url == f"{parts.scheme}://{parts.netloc}"


async def _last_lines(
    client: MasterClient, address: str, app_id: str, executor_id: int, redactor: Redactor
) -> list[str]:
    """Return the last lines of the executor's log, from stdout when stderr has none: a JVM complains there too."""
    for kind in ("stderr", "stdout") if address else ():
        query = {"appId": app_id, "executorId": executor_id, "logType": kind, "byteLength": MAX_LOG}
        try:
            text = await client.text(f"{address}?{urlencode(query)}", 4 * MAX_LOG)  # what is not UTF-8 grows
        except MasterUnreachable:
            return []
        if lines := _told(text, redactor):
            return lines
    return []


def _told(text: str, redactor: Redactor) -> list[str]:
    """Return the lines that say why, of what a worker answers."""
    first, _, log = text.partition("\n")
    header = _HEADER.match(first)
    if header is None or int(header[2]) == 0:
        return []
    if int(header[1]) > 0:
        log = log.partition("\n")[2]  # half a line may be half a secret
    lines = [line for line in redactor.text(log).splitlines() if line.strip()]
    if _RULE in lines:
        lines = lines[lines.index(_RULE) + 1 :]
    return [_printable(line)[:MAX_LINE] for line in excerpt(lines, MOST_LINES)]


def _printable(line: str) -> str:
    return "".join(character if character.isprintable() else " " for character in line).rstrip()
