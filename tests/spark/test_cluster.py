"""Placement arithmetic, held against the fake master's own scheduler, and the JSON of several Sparks."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg2at_personality.errors import MalformedAnswer, RequestError
from kg2at_personality.spark.cluster import (
    App,
    Capacity,
    ClusterState,
    ExecutorRequest,
    Worker,
    capacity,
    check,
    limited,
    missing,
    needed,
    registration,
)
from kg2at_personality.spark.master_state import cluster_state
from kg2at_personality.spark.placement import IdleCluster, Placement
from tests.cost import Calls
from tests.fakes.master import FakeApp, FakeMaster, FakeWorker, Shape

GIB = 1024
rooms = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 8)), max_size=7)  # cores, GiB of each worker


@st.composite
def requests(draw: st.DrawFn) -> ExecutorRequest:
    return ExecutorRequest(
        cores_max=draw(st.integers(1, 20)),
        executor_cores=draw(st.none() | st.integers(1, 5)),
        executor_memory_mib=draw(st.sampled_from([512, GIB, 2 * GIB, 4 * GIB])),
        initial_executors=draw(st.none() | st.integers(1, 4)),
    )


def master_of(workers: list[tuple[int, int]], **options: Any) -> FakeMaster:
    master = FakeMaster(**options)
    for cores, gib in workers:
        master.add_worker(cores, gib * GIB)
    return master


def state_of(master: FakeMaster, shape: Shape = "3.5") -> ClusterState:
    return cluster_state(json.loads(json.dumps(master.to_json(shape))))


def run(master: FakeMaster, request: ExecutorRequest) -> FakeApp:
    size, memory = request.executor_cores, request.executor_memory_mib
    app = master.submit("app", request.cores_max, size, memory, request.initial_executors)
    master.step()
    return app


def grantable(state: ClusterState, request: ExecutorRequest, promised: Sequence[ExecutorRequest] = ()) -> int:
    """The cores that the request gets after all of `promised`, in that order."""
    placement = Placement(state)
    for other in promised:
        placement.place(other)
    return placement.grantable(request)


# Against Spark's own loop, as the fake has it.


@given(rooms, st.lists(requests(), max_size=3), requests(), st.integers())
def test_what_is_grantable_is_what_the_scheduler_grants(
    workers: list[tuple[int, int]], others: list[ExecutorRequest], request: ExecutorRequest, seed: int
) -> None:
    master = master_of(workers, seed=seed)
    for other in others:
        master.finish(run(master, other)) if other.cores_max % 3 == 0 else run(master, other)
    expected = grantable(state_of(master), request)
    before = {id(app): app.cores for app in master.apps}
    app = run(master, request)
    assert app.cores == expected
    assert {id(other): other.cores for other in master.apps if other is not app} == before


@given(rooms, st.lists(requests(), max_size=6))
def test_promises_are_placed_first_and_in_order(workers: list[tuple[int, int]], queue: list[ExecutorRequest]) -> None:
    """With the same order among workers with equally many free cores: more memory first."""
    master = master_of(workers, ties=lambda worker: -worker.memory_free)
    state = state_of(master)
    placement = Placement(state)
    for number, request in enumerate(queue):
        assert grantable(state, request, queue[:number]) == placement.grantable(request)
        assert placement.place(request) == run(master, request).cores
    assert room_of(placement) == room_of(Placement(state_of(master)))


@given(rooms, st.data(), st.integers(1, 4), st.sampled_from([GIB, 2 * GIB]), st.integers())
def test_equal_executors_are_safe_in_any_order(
    workers: list[tuple[int, int]], data: st.DataObject, size: int, memory: int, seed: int
) -> None:
    """Kernels register late, in any order, and Spark's ties are random: with one executor size it is all the same."""
    wanted = data.draw(st.lists(st.integers(size, 12), max_size=6))
    placement = Placement(state_of(master_of(workers)))
    admitted = []
    for request in [ExecutorRequest(cores, size, memory) for cores in wanted]:
        if placement.place(request, needed(request)) >= needed(request):
            admitted.append(request)
    random.Random(seed).shuffle(admitted)
    master = master_of(workers, seed=seed)
    for request in admitted:
        assert run(master, request).cores == needed(request)


def test_executors_of_two_sizes_are_not_safe_in_any_order() -> None:
    """What the admission queue has to know: promised in one order, registered in the other, one notebook hangs."""
    big, small = ExecutorRequest(4, 4, GIB), ExecutorRequest(4, 1, GIB)
    master = master_of([(4, 8), (4, 8)])
    assert grantable(state_of(master), small, [big]) == 4
    assert [run(master, small).cores, run(master, big).cores] == [4, 0]


@given(rooms, requests())
def test_what_fits_an_idle_cluster_is_what_it_grants(workers: list[tuple[int, int]], request: ExecutorRequest) -> None:
    busy = master_of(workers)
    busy.submit("all of it", cores_max=None, memory_mib=GIB)
    busy.step()
    expected = run(master_of(workers), request).cores >= needed(request)
    assert IdleCluster(state_of(busy)).fits(request) is (expected or not workers)


@given(rooms, requests())
def test_place_takes_nothing_below_its_least(workers: list[tuple[int, int]], request: ExecutorRequest) -> None:
    placement = Placement(state_of(master_of(workers)))
    before = room_of(placement)
    could = placement.grantable(request)
    assert placement.place(request, could + 1) == could
    assert room_of(placement) == before
    assert placement.place(request, could) == could


@given(rooms, requests())
def test_what_is_missing_is_what_it_needs_less_what_it_has(
    workers: list[tuple[int, int]], request: ExecutorRequest
) -> None:
    granted = grantable(state_of(master_of(workers)), request)
    rest = missing(request, granted)
    if rest is None:
        assert granted >= needed(request)
    else:
        assert needed(rest) >= needed(request) - granted > 0


def room_of(placement: Placement) -> list[tuple[tuple[int, int], int]]:
    assert sorted(placement._count) == placement._order
    return sorted(placement._count.items())


# Rules one by one.


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (ExecutorRequest(5, 2, GIB), 4),  # whole executors only; seen with Spark 3.5.9
        (ExecutorRequest(3, None, GIB), 3),
        (ExecutorRequest(100, None, GIB), 8),
        (ExecutorRequest(100, 3, GIB), 6),  # 4 cores hold one executor of 3
        (ExecutorRequest(100, 1, 2 * GIB), 4),  # memory for two on each
        (ExecutorRequest(100, None, 4 * GIB), 8),  # one executor on each: memory counts once
        (ExecutorRequest(100, None, 5 * GIB), 0),
        (ExecutorRequest(1, 2, GIB), 0),
        (ExecutorRequest(100, 1, GIB, 3), 3),
        (ExecutorRequest(100, None, GIB, 1), 4),
        (ExecutorRequest(100, 1, GIB, 0), 1),  # dynamic allocation that starts with none still needs one
    ],
)
def test_two_workers_of_4_cores_and_4_gib(request_: ExecutorRequest, expected: int) -> None:
    assert grantable(state_of(master_of([(4, 4), (4, 4)])), request_) == expected


@pytest.mark.parametrize(
    ("request_", "most", "least"),
    [
        (ExecutorRequest(5, 2, GIB), 4, 2),
        (ExecutorRequest(5, None, GIB), 5, 1),
        (ExecutorRequest(8, 2, GIB, 3), 6, 2),
        (ExecutorRequest(8, None, GIB, 3), 3, 1),
        (ExecutorRequest(2, 1, GIB, 9), 2, 1),
    ],
)
def test_needed(request_: ExecutorRequest, most: int, least: int) -> None:
    assert (needed(request_), request_.size) == (most, least)


def test_missing() -> None:
    fixed = ExecutorRequest(8, 2, GIB, 3)
    assert missing(fixed, 2) == ExecutorRequest(6, 2, GIB, 2)
    assert missing(fixed, 6) is None
    assert missing(ExecutorRequest(5, 2, GIB), 4) is None
    assert missing(ExecutorRequest(5, None, GIB), 4) == ExecutorRequest(1, None, GIB)


@pytest.mark.parametrize("status", ["STANDBY", "RECOVERING", "COMPLETING_RECOVERY"])
def test_a_master_that_is_not_alive_grants_nothing(status: str) -> None:
    state = replace(state_of(master_of([(4, 4)])), status=status)
    assert grantable(state, ExecutorRequest(1, 1, GIB)) == 0
    assert IdleCluster(state).fits(ExecutorRequest(4, 4, GIB))


@pytest.mark.parametrize("state", ["DEAD", "UNKNOWN", "DECOMMISSIONED"])
def test_only_alive_workers_count(state: str) -> None:
    master = master_of([(4, 4), (2, 2)])
    master.kill_worker(master.workers[0], state)
    assert grantable(state_of(master), ExecutorRequest(9, None, GIB)) == 2
    assert capacity(state_of(master)) == Capacity(1, 2, 2, 2 * GIB, 2 * GIB)


def test_an_idle_cluster_counts_a_dead_worker_until_its_host_is_back() -> None:
    master = master_of([(4, 4)])
    master.kill_worker(master.workers[0])
    assert IdleCluster(state_of(master)).fits(ExecutorRequest(4, 1, GIB))
    master.revive_worker(master.workers[0])
    assert IdleCluster(state_of(master)).fits(ExecutorRequest(4, 1, GIB))
    assert not IdleCluster(state_of(master)).fits(ExecutorRequest(5, 1, GIB))


def test_a_decommissioned_worker_does_not_come_back() -> None:
    master = master_of([(4, 4), (1, 4)])
    master.kill_worker(master.workers[0], "DECOMMISSIONED")
    assert not IdleCluster(state_of(master)).fits(ExecutorRequest(2, 2, GIB))


def test_check_names_both_settings() -> None:
    with pytest.raises(RequestError, match=r"spark\.cores\.max is 1 and spark\.executor\.cores is 2") as raised:
        check(ExecutorRequest(1, 2, GIB))
    assert raised.value.status == 400
    check(ExecutorRequest(2, 2, GIB))
    check(ExecutorRequest(1, None, GIB))


@pytest.mark.parametrize(("cores", "size"), [(0, None), (-1, None), (2, 0)])
def test_check_refuses_what_is_not_positive(cores: int, size: int | None) -> None:
    with pytest.raises(RequestError, match="at least 1"):
        check(ExecutorRequest(cores, size, GIB))


# JSON.


RECORDED_35 = json.loads("""{
  "url": "spark://127.0.0.1:27077",
  "workers": [{"id": "worker-20261122194414-127.0.0.1-33967", "host": "127.0.0.1", "port": 33967,
    "webuiaddress": "http://127.0.0.1:42017", "cores": 4, "coresused": 3, "coresfree": 1, "memory": 4096,
    "memoryused": 1024, "memoryfree": 3072, "resources": {}, "resourcesused": {}, "resourcesfree": {},
    "state": "ALIVE", "lastheartbeat": 1795376655957}],
  "aliveworkers": 1, "cores": 4, "coresused": 3, "memory": 4096, "memoryused": 1024, "resources": [{}],
  "resourcesused": [{}],
  "activeapps": [{"id": "app-20261122194453-0000", "starttime": 1795376693244, "name": "kg2at-recorded", "cores": 3,
    "user": "root", "memoryperexecutor": 1024, "memoryperslave": 1024, "resourcesperexecutor": [],
    "resourcesperslave": [], "submitdate": "Sun Nov 22 19:44:53 UTC 2026", "state": "RUNNING", "duration": 2656}],
  "completedapps": [], "activedrivers": [], "completeddrivers": [], "status": "ALIVE"}""")
"""Spark 3.5.9 with spark.cores.max 3, no spark.executor.cores, memoryOverhead 512m: 1 executor of 3 cores, 1024 MiB."""

RECORDED_24_APP = json.loads("""{"id": "app-20261122194518-0000", "starttime": 1795376718766, "name": "kg2at-recorded",
  "cores": 3, "user": "root", "memoryperslave": 1024, "submitdate": "Sun Nov 22 19:45:18 UTC 2026",
  "state": "RUNNING", "duration": 2482}""")


def test_a_recorded_answer_of_spark_35() -> None:
    state = cluster_state(RECORDED_35)
    assert (state.url, state.status, state.completed) == ("spark://127.0.0.1:27077", "ALIVE", ())
    shown = "worker-20261122194414-127.0.0.1-33967", "http://127.0.0.1:42017"
    worker = Worker("127.0.0.1", "ALIVE", 4, 3, 4096, 1024, *shown)
    assert state.workers == (worker,)
    (app,) = state.apps
    assert (app.id, app.name, app.cores, app.user) == ("app-20261122194453-0000", "kg2at-recorded", 3, "root")


def test_a_recorded_application_of_spark_24() -> None:
    (app,) = cluster_state(RECORDED_35 | {"activeapps": [RECORDED_24_APP]}).apps
    assert app.cores == 3


@pytest.mark.parametrize("shape", ["2.0", "2.4", "3.5"])
def test_every_shape_says_the_same(shape: Shape) -> None:
    master = master_of([(4, 8)])
    for cores in (1, 2, 9):
        run(master, ExecutorRequest(cores, cores, GIB))
    master.finish(master.apps[0])
    state = state_of(master, shape)
    assert [app.cores for app in state.apps] == [2, 0]
    assert [app.id for app in state.completed] == [master.completed[0].id]
    assert capacity(state) == Capacity(1, 4, 2, 8 * GIB, 7 * GIB)


def test_before_23_the_granted_cores_are_estimated() -> None:
    master = master_of([(4, 8)])
    run(master, ExecutorRequest(9, None, GIB))
    master.submit("no limit", cores_max=None)
    master.step()
    state = state_of(master, "2.0")
    assert [app.cores for app in state.apps] == [4, 0]


def test_a_missing_number_is_nothing_free() -> None:
    bare: dict[str, Any] = {"status": "ALIVE", "workers": [{"state": "ALIVE"}, {"state": "ALIVE", "cores": 4}]}
    state = cluster_state(bare)
    assert grantable(state, ExecutorRequest(1, 1, 0)) == 0
    assert state.apps == ()


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "text",
        {},
        {"status": "ALIVE"},
        {"status": 1, "workers": []},
        {"status": "ALIVE", "workers": {}},
        {"status": "ALIVE", "workers": [1]},
        {"status": "ALIVE", "workers": [{"cores": "4"}]},
        {"status": "ALIVE", "workers": [{"cores": True}]},
        {"status": "ALIVE", "workers": [{"cores": 4.5}]},
        {"status": "ALIVE", "workers": [{"cores": None}]},
        {"status": "ALIVE", "workers": [{"cores": -1}]},
        {"status": "ALIVE", "workers": [{"memory": float("nan")}]},
        {"status": "ALIVE", "workers": [], "activeapps": "none"},
        {"status": "ALIVE", "workers": [], "activeapps": [{"name": 5}]},
    ],
)
def test_malformed(payload: object) -> None:
    with pytest.raises(MalformedAnswer, match=r"http://master:8080: "):
        cluster_state(payload, "http://master:8080")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(RECORDED_35)), json_values), st.data())
def test_any_json_is_a_state_or_malformed(changes: dict[str, Any], data: st.DataObject) -> None:
    payload = RECORDED_35 | changes
    worker = RECORDED_35["workers"][0]
    inside = data.draw(st.dictionaries(st.sampled_from(sorted(worker)), json_values, max_size=3))
    if "workers" not in changes:
        payload |= {"workers": [worker | inside]}
    try:
        state = cluster_state(payload)
    except MalformedAnswer:
        return
    assert grantable(state, ExecutorRequest(3, 1, GIB)) >= 0
    capacity(state)


# Cost.


def test_a_poll_with_1000_of_each_is_cheap() -> None:
    """Parsing and a whole FIFO pass."""
    rng = random.Random(1)
    master = FakeMaster()
    master.workers = [FakeWorker(f"w{n}", "h", n, 16, rng.choice([32, 64, 128]) * GIB) for n in range(1000)]
    master.apps = [FakeApp(f"kernel {n}", 4, 2, GIB, None, "u", 0.0, f"app-{n}", "RUNNING") for n in range(1000)]
    body = json.dumps(master.to_json(), indent=2)
    queue = [
        ExecutorRequest(rng.randint(1, 16), rng.choice([None, 1, 2]), rng.choice([1, 2, 8]) * GIB) for _ in range(1000)
    ]
    with Calls() as calls:
        placement = Placement(cluster_state(json.loads(body)))
        for request in queue:
            if placement.place(request, needed(request)) < needed(request):
                break
    assert calls.count < 150_000


@pytest.mark.parametrize(
    ("request_", "tasks", "expected"),
    [
        (ExecutorRequest(6, 2, 1024, 3), 0, 0),
        (ExecutorRequest(6, 2, 1024, 3), -1, 0),
        (ExecutorRequest(6, 2, 1024, 3), 1, 2),
        (ExecutorRequest(6, 2, 1024, 3), 3, 4),
        (ExecutorRequest(6, 2, 1024, 3), 100, 6),
        (ExecutorRequest(6, 2, 1024, 2), 100, 4),
        (ExecutorRequest(6, 2, 1024, 0), 100, 2),
        (ExecutorRequest(6, None, 1024, 3), 0, 0),
        (ExecutorRequest(6, None, 1024, 3), 2, 2),
        (ExecutorRequest(6, None, 1024, 3), 100, 3),
        (ExecutorRequest(6, 2, 1024), 3, 4),
    ],
)
def test_a_request_limited_to_what_tasks_can_use(request_: ExecutorRequest, tasks: int, expected: int) -> None:
    assert needed(limited(request_, tasks)) == expected
    assert limited(request_, 100) == request_, "all of it where there is enough to do"


def test_one_wide_executor_may_take_what_is_free_there() -> None:
    """Dynamic allocation bounds the executors, not their cores."""
    assert limited(ExecutorRequest(6, None, 1024, 3), 1) == ExecutorRequest(6, None, 1024, 1)


def test_the_order_of_registration() -> None:
    """By age; where that is not known or equal by the master's numbers, of which the 10000th has a digit more."""
    old, young = App("app-2", "n", "u", 0, 60.0), App("app-1", "n", "u", 0, 5.0)
    assert sorted([young, old], key=registration) == [old, young]
    apps = [App(f"app-20260101000000-{number}", "n", "u", 0) for number in ("0009", "9999", "10000")]
    assert sorted(reversed(apps), key=registration) == apps
