"""Checks the master, and how many notebooks find room in its cluster."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace

from ...admission.request import executors_of
from ...assembly import master_options_of
from ...errors import KG2ATError, MasterUnreachable, RequestError
from ...plural import counted
from ...spark.cluster import ALIVE, ClusterState, ExecutorRequest, capacity, check, needed
from ...spark.conf import SparkConf
from ...spark.master import MasterClient
from ...spark.master_ui import master_urls
from ...spark.master_url import is_local, is_standalone, local_cores
from ...spark.placement import IdleCluster, Placement
from ...spark.units import spark_size
from .finding import Finding, error, ok, warning
from .python_kernels import far_workers
from .subject import Subject

#: Seconds that a master has for its answer here.
MASTER_LIMIT = 0.9
SMALLER = "lower spark.cores.max, spark.executor.cores or spark.executor.memory, or add workers"


def master(subject: Subject) -> Iterator[Finding]:
    """Check that the master is ALIVE, and how many notebooks fit."""
    if subject.conf is None:
        yield warning("master", "not asked: Spark's configuration is broken", "mend that first")
        return
    if not is_standalone(subject.conf.master):
        yield _other_master(subject.conf)
        return
    try:
        state = asyncio.run(_state(subject, subject.conf))
    except MasterUnreachable as failure:
        yield error("master", str(failure), f"is it started? spark.master is {subject.conf.master}; see master_url")
        return
    except KG2ATError as failure:
        yield error("master", str(failure), "mend it")
        return
    yield _master(state)
    yield from _room(subject.conf, state)
    yield from far_workers(subject, {worker.host for worker in state.workers if worker.state == ALIVE})


def _other_master(conf: SparkConf) -> Finding:
    if is_local(conf.master):
        threads = local_cores(conf.master) or os.cpu_count()
        return ok("master", f"{conf.master}: no cluster, {threads} cores of this machine for each notebook")
    return ok("master", f"{conf.master}: kg2at asks standalone masters (spark://...) only")


async def _state(subject: Subject, conf: SparkConf) -> ClusterState:
    options = master_options_of(subject.command.settings)
    options = replace(options, timeout=min(options.timeout, MASTER_LIMIT))
    client = MasterClient.with_options(master_urls(conf, options.urls), options)
    try:
        return await client.state()
    finally:
        client.close()


def _master(state: ClusterState) -> Finding:
    if state.status != ALIVE:
        return error("master", f"{state.url} is {state.status}", "wait until it is ALIVE")
    total = capacity(state)
    if not total.workers:
        return error("master", f"{state.url} is ALIVE, but has no worker", "start workers")
    cores = f"{total.cores_free} of {total.cores_total} cores"
    memory = f"{spark_size(total.memory_free_mib)} of {spark_size(total.memory_total_mib)}"
    return ok("master", f"{state.url} is ALIVE: {cores} and {memory} free, workers: {total.workers}")


def _room(conf: SparkConf, state: ClusterState) -> Iterator[Finding]:
    """Check how many notebooks fit now, and how many when nothing else runs."""
    request = executors_of(conf)
    if request is None or not capacity(state).workers:
        return
    try:
        check(request)
    except RequestError as problem:
        yield error("room", str(problem), SMALLER)
        return
    asked = f"a notebook of {_size(request)}"
    idle = IdleCluster(state)
    at_best = f"{_fitting(idle.state, request)} when nothing else runs"
    if not idle.fits(request):
        yield error("room", f"{asked} does not fit even when nothing else runs", SMALLER)
    elif not (now := _fitting(state, request)):
        yield warning("room", f"{asked} does not fit now, {at_best}", "wait")
    else:
        yield ok("room", f"{asked} fits {now} times now, {at_best}")


def _size(request: ExecutorRequest) -> str:
    cores = counted(needed(request), "core")
    return f"{cores} and {spark_size(request.executor_memory_mib)} for each executor"


def _fitting(state: ClusterState, request: ExecutorRequest) -> int:
    """Return how many such requests get all that they ask for, one after the other."""
    placement, wanted, count = Placement(state), needed(request), 0
    while placement.place(request, at_least=wanted) >= wanted:
        count += 1
    return count
