"""What is admitted by the arithmetic of promises, registered at the fake master in every order and with any ties."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg2at_personality.admission.headroom import Headroom
from kg2at_personality.spark.cluster import ExecutorRequest, needed
from kg2at_personality.spark.master_state import cluster_state
from kg2at_personality.spark.placement import Placement, rooms
from tests.cost import Calls
from tests.fakes.examples import examples
from tests.fakes.master import FakeMaster

GIB = 1024
Workers = list[tuple[int, int]]
workers_ = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=4)  # cores, half GiB of each


sizes_ = st.none() | st.integers(1, 4)


@st.composite
def requests(draw: st.DrawFn, sizes: st.SearchStrategy[int | None] = sizes_) -> ExecutorRequest:
    size = draw(sizes)
    return ExecutorRequest(
        cores_max=draw(st.integers(size or 1, 8)),
        executor_cores=size,
        executor_memory_mib=draw(st.sampled_from([0, GIB // 2, GIB, 2 * GIB])),
        initial_executors=draw(st.none() | st.integers(1, 3)),
    )


def master_of(workers: Workers, seed: int = 0) -> FakeMaster:
    master = FakeMaster(seed=seed)
    for cores, halves in workers:
        master.add_worker(cores, halves * GIB // 2)
    return master


def headroom(master: FakeMaster, *promised: ExecutorRequest) -> Headroom:
    return Headroom(rooms(cluster_state(master.to_json())), promised)


def granted(master: FakeMaster, request: ExecutorRequest) -> int:
    size, memory = request.executor_cores, request.executor_memory_mib
    app = master.submit("app", request.cores_max, size, memory, request.initial_executors)
    master.step()
    return app.cores


def admitted(workers: Workers, queue: list[ExecutorRequest]) -> list[ExecutorRequest]:
    room = headroom(master_of(workers))
    return [request for request in queue if room.take(request)]


def all_get_theirs(workers: Workers, order: list[ExecutorRequest], seed: int) -> bool:
    master = master_of(workers, seed)
    return all([granted(master, request) >= needed(request) for request in order])


@settings(max_examples=examples(400))
@given(workers_, st.lists(requests(), min_size=2, max_size=5), st.integers())
def test_what_is_admitted_fits_in_every_order(workers: Workers, queue: list[ExecutorRequest], seed: int) -> None:
    promised, rng = admitted(workers, queue), random.Random(seed)
    for order in itertools.islice(itertools.permutations(promised), 24):
        assert all_get_theirs(workers, list(order), rng.randrange(1000))


@settings(max_examples=examples(200))
@given(st.lists(st.tuples(st.integers(1, 8), st.integers(2, 16)), min_size=2, max_size=3), st.data(), st.integers())
def test_two_sizes_on_full_clusters(workers: Workers, data: st.DataObject, seed: int) -> None:
    """Many small promises and a few big ones, which is where the order matters."""
    sizes = st.sampled_from([1, 3, 4])
    queue = data.draw(st.lists(requests(sizes), min_size=6, max_size=12))
    promised = admitted(workers, queue)
    random.Random(seed).shuffle(promised)
    assert all_get_theirs(workers, promised, seed)


@settings(max_examples=examples(200))
@given(workers_, st.lists(requests(), min_size=1, max_size=4), requests(), st.integers())
def test_it_stays_safe_while_promises_are_kept(
    workers: Workers, queue: list[ExecutorRequest], late: ExecutorRequest, seed: int
) -> None:
    """One admitted after some of the others have their cores harms none of the rest."""
    promised = admitted(workers, queue)
    rng = random.Random(seed)
    rng.shuffle(promised)
    kept = rng.randint(0, len(promised))
    master = master_of(workers, seed)
    assert all([granted(master, request) >= needed(request) for request in promised[:kept]])
    rest = promised[kept:]
    if headroom(master, *rest).take(late):
        rest.insert(rng.randint(0, len(rest)), late)
    assert all([granted(master, request) >= needed(request) for request in rest])


@given(workers_, st.integers(1, 4), st.sampled_from([0, GIB]), st.lists(st.integers(4, 9), max_size=6))
def test_one_size_is_exact(workers: Workers, size: int, memory: int, wanted: list[int]) -> None:
    placement = Placement(cluster_state(master_of(workers).to_json()))
    room = headroom(master_of(workers))
    for request in [ExecutorRequest(cores, size, memory) for cores in wanted]:
        least = needed(request)
        assert room.take(request) is (placement.place(request, least) >= least)


@given(workers_, requests())
def test_alone_it_is_exact(workers: Workers, request: ExecutorRequest) -> None:
    placement = Placement(cluster_state(master_of(workers).to_json()))
    assert headroom(master_of(workers)).take(request) is (placement.grantable(request) >= needed(request))


BIG, SMALL, PAIR = ExecutorRequest(4, 4, GIB), ExecutorRequest(4, 1, GIB), ExecutorRequest(2, 2, GIB)
ONE, SPREAD = ExecutorRequest(1, None, GIB), ExecutorRequest(2, None, GIB)


@pytest.mark.parametrize(
    ("workers", "queue", "expected"),
    [
        ([(4, 16), (4, 16)], [BIG, SMALL], [True, False]),  # the trap: fits in one order only
        ([(4, 16), (4, 16)], [BIG, ONE], [True, True]),
        ([(4, 16), (4, 16)], [BIG, ONE, ONE], [True, True, False]),
        ([(4, 16)], [ONE, ONE, PAIR], [True, True, True]),  # no order matters on one worker
        ([(4, 16)], [ONE, PAIR, ONE, ONE], [True, True, True, False]),
        ([(4, 8)], [ONE] * 5, [True] * 4 + [False]),
        ([(4, 16)], [SPREAD, SPREAD, SPREAD], [True, True, False]),
        ([(4, 4)], [SPREAD, SPREAD, ONE], [True, True, False]),  # memory is short, and one worker is touched once
        ([(2, 16), (2, 16)], [SPREAD, PAIR], [True, False]),  # spread first, it leaves one core on each
        ([(4, 2)], [ONE, ONE], [True, False]),  # memory
        ([(4, 3)], [ExecutorRequest(1, 1, GIB // 2), ExecutorRequest(1, 1, GIB)], [True, True]),
    ],
)
def test_small_clusters(workers: Workers, queue: list[ExecutorRequest], expected: list[bool]) -> None:
    room = headroom(master_of(workers))
    assert [room.take(request) for request in queue] == expected


def test_a_promise_that_cannot_be_kept_counts_but_stops_nobody_elsewhere() -> None:
    """Another application has the only worker for 8 cores; 40 cores are free on small ones."""
    hopeless = ExecutorRequest(8, 8, GIB)
    room = headroom(master_of([(4, 16)] * 10), hopeless)
    assert [room.take(BIG) for _ in range(9)] == [True] * 8 + [False]


@settings(max_examples=examples(400))
@given(workers_, st.lists(requests(), min_size=1, max_size=4), requests())
def test_the_free_cores_cover_all_that_is_reserved_and_what_is_taken(
    workers: Workers, waiting: list[ExecutorRequest], late: ExecutorRequest
) -> None:
    """Those that wait at the master for lack of room keep as many free cores as they lack, wherever these are."""
    master = master_of(workers)
    if headroom(master, *waiting).take(late):
        free = sum(worker.cores_free for worker in master.workers)
        assert free >= sum(needed(each) for each in (*waiting, late))


def test_1000_waiters_on_1000_workers_are_cheap() -> None:
    rng = random.Random(1)
    free = {(rng.randint(1, 64), rng.randint(32, 10**6)): 1 for _ in range(1000)}
    queue = [
        ExecutorRequest(rng.randint(1, 8), rng.choice([None, 1, 2, 4]), rng.choice([1, 2]) * GIB) for _ in range(100)
    ]
    with Calls() as calls:
        room = Headroom(free, queue)
        for request in queue:
            room.take(request)
    assert calls.count < 110_000
