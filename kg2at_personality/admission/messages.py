"""The sentences for those who are not admitted, and for those who wait at the master: what is needed, what there is."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ClusterBusy, GatewayEnds, NeverFits, OutOfBounds, QueueFull, ShareUsed
from ..plural import counted, span
from ..spark.cluster import ALIVE, Capacity, ClusterState, ExecutorRequest, Worker, alive_workers, needed
from ..spark.executor_deaths import ExecutorDeaths
from ..spark.units import readable_size
from .lease import Lease
from .occupancy import FOREIGN, Occupancy

#: How many holders of cores a message names, and the most characters of a name and of a message.
HOLDERS, NAME_LENGTH, MESSAGE_LENGTH = 4, 40, 600
NAMELESS = "notebooks without a user name"
#: Whose bound of cores it is, and the name under which the administrator sets it.
A_USER, THIS_USER = ("a user", "max_cores_per_user"), ("this user", "max_cores")
RETRY_AFTER = 10.0  # s; kernels hold cores for minutes, so asking again sooner is of no use


def busy(executors: ExecutorRequest, status: str, cluster: Capacity, outstanding: int, ahead: int) -> ClusterBusy:
    """Return the error of a kernel whose wait is over, or that may not wait.

    `status` is the master's. `outstanding` cores are free at the master, but leases of other kernels reserve them.
    """
    parts = [needs(executors), _free(executors, status, cluster, outstanding, ahead)]
    if ahead:
        parts.append(f"{counted(ahead, 'notebook is', 'notebooks are')} ahead of you")
    return ClusterBusy(f"{'; '.join(parts)}. Shut down a notebook or run sc.stop() in one.", RETRY_AFTER)


def with_line(error: ClusterBusy, line: Sequence[Lease], now: float) -> ClusterBusy:
    """Return the error with the applications that wait at the master; `now` is in seconds of the queue's clock."""
    if not line:
        return error
    told = [
        f"{lease.app_id} is waiting for {counted(lease.outstanding_cores, 'core')} for {span(now - lease.waits_since)}"
        for lease in line[:HOLDERS]
        if lease.waits_since is not None
    ]
    more = [f"and {counted(len(line) - HOLDERS, 'other')}"] if len(line) > HOLDERS else []
    return ClusterBusy(f"{error} At the master {', '.join([*told, *more])}.", error.retry_after)


def queue_full(waiting: int) -> QueueFull:
    """Return the error when `max_queue` kernels wait already."""
    text = f"{counted(waiting, 'notebook waits', 'notebooks wait')} for cores already, and no more may (max_queue)."
    return QueueFull(f"{text} Try again later, shut down a notebook or run sc.stop() in one.", RETRY_AFTER)


def share_used(cores: int, used: int, bound: int, user: str, is_own: bool = False) -> ShareUsed:
    """Return the error when the user's kernels have, or wait for, `used` of at most `bound` cores.

    `is_own`: the bound is this user's alone.
    """
    whose, setting = THIS_USER if is_own else A_USER
    text = f"The notebook needs {counted(cores, 'core')}, and {_whose(user)} have or wait for {used} of the "
    rest = f"{bound} that {whose} may have ({setting}). Shut down one of them or run sc.stop() in it."
    return ShareUsed(text + rest, RETRY_AFTER)


def above_share(cores: int, bound: int, is_own: bool = False) -> OutOfBounds:
    """Return the error of a kernel that needs more than its user may have at all; `is_own` as for share_used."""
    whose, setting = THIS_USER if is_own else A_USER
    text = f"The notebook needs {counted(cores, 'core')}; {whose} may have {bound} ({setting})."
    return OutOfBounds(f"{text} Ask for less (spark.cores.max).")


def never_fits(executors: ExecutorRequest, workers: Sequence[Worker]) -> NeverFits:
    """Return the error of a kernel that needs more than these workers have with nothing on them; one at least."""
    total = sum(worker.cores for worker in workers)
    there = f"its largest worker has {_size(_largest(workers))}"
    all_of_them = "" if len(workers) == 1 else f", its {len(workers)} workers have {total} cores together"
    return NeverFits(
        f"{needs(executors)}. This cluster can never grant that: {there}{all_of_them}. "
        "Ask for less (spark.cores.max, spark.executor.cores, spark.executor.memory)."
    )


def cores_given_back(cores: int, idle: float) -> str:
    """Return what a notebook is told once whose application gave back cores when it had been idle for some seconds."""
    takes = "it" if cores == 1 else "them"
    return f"Idle for {span(idle)}: {counted(cores, 'core')} given back; the next job takes {takes} again."


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
    return f"The notebook needs {_described(executors)}"


def waiting(executors: ExecutorRequest, reason: str) -> str:
    """Return what a notebook is told while its application waits for these executors: one line of bounded length.

    `reason` ends the sentence, and may have more after it.
    """
    text = f"Waiting for {_described(executors)}: {reason}"
    if not text.isprintable():  # a user's name, or what a master said
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    text = " ".join(text.split())
    return text if len(text) <= MESSAGE_LENGTH else text[:MESSAGE_LENGTH] + "..."


def master_grants_nothing(state: ClusterState) -> str:
    """Return the reason while a master is not ALIVE."""
    return f"the Spark master {state.url} is {state.status} and grants nothing yet."


def application_unknown(state: ClusterState, app_id: str) -> str:
    """Return the reason while a driver runs an application that its master does not have."""
    return f"the Spark master {state.url} does not know {app_id} any more. Interrupt the cell and run sc.stop()."


def no_worker(state: ClusterState) -> str:
    """Return the reason while a cluster has no worker."""
    return f"the Spark master {state.url} has no worker that is alive."


def workers_too_small(state: ClusterState) -> str:
    """Return the reason while no ALIVE worker, of which there is one at least, could have such an executor."""
    largest = _largest(alive_workers(state))
    return f"no worker that is alive is large enough, the largest has {_size(largest)}."


def cores_are_held(occupancy: Occupancy, lease: Lease, has_room: bool) -> str:
    """Return the reason while others have the cores: how many are free, who has the rest, who is ahead.

    `has_room`: a worker has room for an executor of the lease, and yet its application does not get one.
    """
    free, total = occupancy.capacity.cores_free, occupancy.capacity.cores_total
    text = f"{free} of {total} {'is' if free == 1 else 'are'} free"
    if has_room:
        text += ", but the master has not granted them yet"
    elif free >= lease.executors.size:
        text += ", but no worker has room for an executor"
    if holders := _holders(occupancy, lease):
        text += f"; {', '.join(holders)}"
    place = occupancy.place(lease.app_id)
    if place is None:
        return f"{text}."
    ahead = f"{counted(place - 1, 'application is', 'applications are')} ahead of it"
    return f"{text}. {ahead if place > 1 else 'It is first in line'}."


def _holders(occupancy: Occupancy, lease: Lease) -> list[str]:
    """Return who has how many cores: the user's other kernels first, then those who have the most."""
    own = occupancy.held_by(lease.user) - lease.granted
    others = [(holder, cores) for holder, cores in occupancy.holders[: HOLDERS + 1] if holder != lease.user][:HOLDERS]
    unnamed = len(occupancy.holders) - len(others) - (1 if occupancy.held_by(lease.user) else 0)
    texts = [f"{'your other notebooks' if lease.user else NAMELESS} have {own}"] if own > 0 else []
    texts += [f"{_holder(holder)} {cores}" for holder, cores in others]
    return [*texts, f"and {counted(unnamed, 'other')}"] if unnamed else texts


def _holder(holder: str | None) -> str:
    if holder is FOREIGN:
        return "other applications have"
    return f"{holder[:NAME_LENGTH]} has" if holder else f"{NAMELESS} have"


def _described(executors: ExecutorRequest) -> str:
    """Return "4 cores in 2 executors of 2 cores and 1 GiB each"."""
    cores, size = needed(executors), executors.executor_cores
    count = cores // size if size else min(cores, executors.breadth)
    memory = readable_size(executors.executor_memory_mib)
    if count == 1:
        return f"{counted(cores, 'core')} in one executor of {memory}"
    if size is None:
        return f"{cores} cores in one or more executors of {memory}"
    return f"{cores} cores in {count} executors of {counted(size, 'core')} and {memory} each"


def _largest(workers: Sequence[Worker]) -> Worker:
    return max(workers, key=lambda worker: (worker.cores, worker.memory_mib))


def _size(worker: Worker) -> str:
    return f"{counted(worker.cores, 'core')} and {readable_size(worker.memory_mib)}"


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
