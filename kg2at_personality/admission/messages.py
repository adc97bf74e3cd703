"""What is told to those who don't get in, in sentences for whoever sits at the notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ClusterBusy, GatewayEnds, NeverFits, OutOfBounds, QueueFull, ShareUsed
from ..spark.cluster import Capacity, ExecutorRequest, Worker, needed

RETRY_AFTER = 10.0  # s; kernels hold cores for minutes, so asking again sooner is of no use
GIB = 1024


@dataclass(frozen=True)
class Picture:
    """The cluster as the last answer showed it, asked for at `asked_at` in seconds of the queue's clock."""

    url: str
    status: str
    capacity: Capacity
    asked_at: float


def busy(promise: ExecutorRequest, picture: Picture, promised: int, ahead: int) -> ClusterBusy:
    """The wait is over, or nobody may wait. `promised` cores are free, but others' already."""
    parts = [needs(promise), _free(promise, picture, promised, ahead)]
    if ahead:
        parts.append(f"{_count(ahead, 'notebook is', 'notebooks are')} ahead of you")
    return ClusterBusy(f"{'; '.join(parts)}. Shut down a notebook or run sc.stop() in one.", RETRY_AFTER)


def queue_full(waiting: int) -> QueueFull:
    """`max_queue` is reached."""
    text = f"{_count(waiting, 'notebook waits', 'notebooks wait')} for cores already, and no more may (max_queue)."
    return QueueFull(f"{text} Try again later, shut down a notebook or run sc.stop() in one.", RETRY_AFTER)


def share_used(cores: int, used: int, bound: int, user: str) -> ShareUsed:
    """The user has too much already."""
    text = f"The notebook needs {_count(cores, 'core', 'cores')}, and {_whose(user)} have or wait for {used} of the "
    rest = f"{bound} that a user may have (max_cores_per_user). Shut down one of them or run sc.stop() in it."
    return ShareUsed(text + rest, RETRY_AFTER)


def above_share(cores: int, bound: int) -> OutOfBounds:
    """No share is ever enough for this one."""
    text = f"The notebook needs {_count(cores, 'core', 'cores')}; a user may have {bound} (max_cores_per_user)."
    return OutOfBounds(f"{text} Ask for less (spark.cores.max).")


def never_fits(promise: ExecutorRequest, workers: Sequence[Worker]) -> NeverFits:
    """This cluster is too small."""
    largest = max(workers, key=lambda worker: (worker.cores, worker.memory_mib))
    total = sum(worker.cores for worker in workers)
    there = f"its largest worker has {_count(largest.cores, 'core', 'cores')} and {memory(largest.memory_mib)}"
    all_of_them = "" if len(workers) == 1 else f", its {len(workers)} workers have {total} cores together"
    return NeverFits(
        f"{needs(promise)}. This cluster can never grant that: {there}{all_of_them}. "
        "Ask for less (spark.cores.max, spark.executor.cores, spark.executor.memory)."
    )


def closing() -> GatewayEnds:
    """The gateway goes."""
    return GatewayEnds("The gateway is shutting down and starts no kernels any more.", RETRY_AFTER)


def needs(promise: ExecutorRequest) -> str:
    """ "The notebook needs 4 cores in 2 executors of 2 cores and 1 GiB each"."""
    cores, size = needed(promise), promise.executor_cores
    executors = cores // size if size else min(cores, promise.breadth)
    mib = memory(promise.executor_memory_mib)
    if executors == 1:
        return f"The notebook needs {_count(cores, 'core', 'cores')} in one executor of {mib}"
    if size is None:
        return f"The notebook needs {cores} cores in one or more executors of {mib}"
    each = f"{_count(size, 'core', 'cores')} and {mib} each"
    return f"The notebook needs {cores} cores in {executors} executors of {each}"


def memory(mib: int) -> str:
    """1 GiB, 1.5 GiB, 600 MiB."""
    return f"{mib / GIB:g} GiB" if mib >= GIB and mib % (GIB // 4) == 0 else f"{mib} MiB"


def _free(promise: ExecutorRequest, picture: Picture, promised: int, ahead: int) -> str:
    if picture.status != "ALIVE":
        return f"the Spark master is {picture.status} and grants nothing yet"
    free = max(0, picture.capacity.cores_free - promised)
    text = f"{free} of {picture.capacity.cores_total} {'is' if free == 1 else 'are'} free"
    if promised:
        text += f", {promised} promised to notebooks that don't use them yet"
    if not ahead and free >= needed(promise):
        text += ", but no worker has room for it beside what is promised"
    return text


def _whose(user: str) -> str:
    return f"the notebooks of {user}" if user else "the notebooks without a user name (KERNEL_USERNAME)"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
