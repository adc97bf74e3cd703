"""The sentences for those who are not admitted: what the notebook needs, what there is, what to do."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ClusterBusy, GatewayEnds, NeverFits, OutOfBounds, QueueFull, ShareUsed
from ..plural import counted
from ..spark.cluster import ALIVE, Capacity, ExecutorRequest, Worker, needed
from ..spark.executor_deaths import ExecutorDeaths
from ..spark.units import readable_size

RETRY_AFTER = 10.0  # s; kernels hold cores for minutes, so asking again sooner is of no use


def busy(executors: ExecutorRequest, status: str, cluster: Capacity, outstanding: int, ahead: int) -> ClusterBusy:
    """Return the error of a kernel whose wait is over, or that may not wait.

    `status` is the master's. `outstanding` cores are free at the master, but leases of other kernels reserve them.
    """
    parts = [needs(executors), _free(executors, status, cluster, outstanding, ahead)]
    if ahead:
        parts.append(f"{counted(ahead, 'notebook is', 'notebooks are')} ahead of you")
    return ClusterBusy(f"{'; '.join(parts)}. Shut down a notebook or run sc.stop() in one.", RETRY_AFTER)


def queue_full(waiting: int) -> QueueFull:
    """Return the error when `max_queue` kernels wait already."""
    text = f"{counted(waiting, 'notebook waits', 'notebooks wait')} for cores already, and no more may (max_queue)."
    return QueueFull(f"{text} Try again later, shut down a notebook or run sc.stop() in one.", RETRY_AFTER)


def share_used(cores: int, used: int, bound: int, user: str) -> ShareUsed:
    """Return the error when the user's kernels have, or wait for, `used` of at most `bound` cores."""
    text = f"The notebook needs {counted(cores, 'core')}, and {_whose(user)} have or wait for {used} of the "
    rest = f"{bound} that a user may have (max_cores_per_user). Shut down one of them or run sc.stop() in it."
    return ShareUsed(text + rest, RETRY_AFTER)


def above_share(cores: int, bound: int) -> OutOfBounds:
    """Return the error of a kernel that needs more than a user may have at all."""
    text = f"The notebook needs {counted(cores, 'core')}; a user may have {bound} (max_cores_per_user)."
    return OutOfBounds(f"{text} Ask for less (spark.cores.max).")


def never_fits(executors: ExecutorRequest, workers: Sequence[Worker]) -> NeverFits:
    """Return the error of a kernel that needs more than these workers have with nothing on them; one at least."""
    largest = max(workers, key=lambda worker: (worker.cores, worker.memory_mib))
    total = sum(worker.cores for worker in workers)
    there = f"its largest worker has {counted(largest.cores, 'core')} and {readable_size(largest.memory_mib)}"
    all_of_them = "" if len(workers) == 1 else f", its {len(workers)} workers have {total} cores together"
    return NeverFits(
        f"{needs(executors)}. This cluster can never grant that: {there}{all_of_them}. "
        "Ask for less (spark.cores.max, spark.executor.cores, spark.executor.memory)."
    )


def executors_end(deaths: ExecutorDeaths) -> str:
    """Return what the notebook is told whose executors end by themselves, one after the other; one line."""
    text = f"The executors of this notebook end as soon as they start ({deaths.count} so far). "
    if not deaths.last_lines:
        return f"{text}What the last one said is not known: see its log at its worker."
    return f"{text}The last one said: {' | '.join(deaths.last_lines)}"


def closing() -> GatewayEnds:
    """Return the error of a kernel that is asked for while the gateway shuts down."""
    return GatewayEnds("The gateway is shutting down and starts no kernels any more.", RETRY_AFTER)


def needs(executors: ExecutorRequest) -> str:
    """Return a sentence without its end: "The notebook needs 4 cores in 2 executors of 2 cores and 1 GiB each"."""
    cores, size = needed(executors), executors.executor_cores
    count = cores // size if size else min(cores, executors.breadth)
    memory = readable_size(executors.executor_memory_mib)
    if count == 1:
        return f"The notebook needs {counted(cores, 'core')} in one executor of {memory}"
    if size is None:
        return f"The notebook needs {cores} cores in one or more executors of {memory}"
    return f"The notebook needs {cores} cores in {count} executors of {counted(size, 'core')} and {memory} each"


def _free(executors: ExecutorRequest, status: str, cluster: Capacity, outstanding: int, ahead: int) -> str:
    if status != ALIVE:
        return f"the Spark master is {status} and grants nothing yet"
    free = max(0, cluster.cores_free - outstanding)
    text = f"{free} of {cluster.cores_total} {'is' if free == 1 else 'are'} free"
    if outstanding:
        text += f", {outstanding} promised to notebooks that don't use them yet"
    if not ahead and free >= needed(executors):
        text += ", but no worker has room for it beside what is promised"
    return text


def _whose(user: str) -> str:
    return f"the notebooks of {user}" if user else "the notebooks without a user name (KERNEL_USERNAME)"
