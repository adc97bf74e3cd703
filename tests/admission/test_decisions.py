"""Who is admitted, refused or waits: answers, leases and waiters as tables."""

from __future__ import annotations

from typing import Any

import pytest

from kg2at_personality.admission.decisions import (
    Admit,
    ClusterAnswer,
    Decisions,
    NoAnswer,
    Refuse,
    Wait,
    Waiter,
    check_request,
    decide,
)
from kg2at_personality.admission.lease import Claim, Lease, Sighting
from kg2at_personality.admission.policy import AdmissionPolicy
from kg2at_personality.admission.request import AdmissionRequest
from kg2at_personality.errors import MasterUnreachable, OutOfBounds, RequestError
from kg2at_personality.spark.cluster import App, ClusterState, ExecutorRequest, Worker, needed

GIB = 1024
REFUSED = MasterUnreachable("http://master:8080", "connection refused")
WAIT, REJECT = AdmissionPolicy(), AdmissionPolicy(core_check="reject")


def cluster(*free: int, cores: int = 8, status: str = "ALIVE", state: str = "ALIVE") -> ClusterAnswer:
    """An answer: on each worker so many of its cores are free."""
    workers = (Worker(f"h{n}", state, cores, cores - each, 64 * GIB, 0) for n, each in enumerate(free))
    return ClusterAnswer(ClusterState("spark://m:7077", status, tuple(workers), ()))


def waiter(
    name: str,
    cores: int = 1,
    *,
    user: str = "ann",
    examined: bool = False,
    size: int | None = None,
    bound: int | None = None,
) -> Waiter:
    executors = ExecutorRequest(cores, size, GIB)
    request = AdmissionRequest(name, "apache_toree_scala", user, executors, max_cores=bound)
    return Waiter(request, executors, needed(executors), since=0.0, examined=examined)


def lease(cores: int, granted: int = 0, *, user: str = "ann", ended: bool = False) -> Lease:
    executors = ExecutorRequest(cores, None, GIB)
    made = Lease(Claim("a lease"), user, executors, cores)
    if granted:
        made.update(Sighting([App("app-1", "n", user, granted)]), 1.0)
    if ended:
        made.update(Sighting([], {"app-1"}), 2.0)
    return made


def told(decisions: Decisions) -> dict[str, str]:
    """What is decided, in a word: yes, a refusal's reason, or how many are ahead."""
    words: dict[str, str] = {}
    for decision in decisions.made:
        name = decision.waiter.request.kernel_id
        if isinstance(decision, Refuse):
            words[name] = decision.error.reason
        else:
            words[name] = "yes" if isinstance(decision, Admit) else f"behind {decision.ahead}"
    return words


def at_the_master(cores: int = 1, size: int | None = None) -> Lease:
    """A lease whose application waits at the master."""
    made = Lease(Claim("waits"), "eve", ExecutorRequest(cores, size, GIB), cores)
    made.update(Sighting([App("app-2", "n", "eve", 0)]), 1.0)
    return made


BUSY, FULL, SHARE = "Cluster is busy", "Too many notebooks are waiting", "Your share of cores is used"
SMALL, UNREACHABLE = "The cluster is too small", "Spark master unreachable"


@pytest.mark.parametrize(
    ("answer", "leases", "waiters", "policy", "expected"),
    [
        # Cores are free, or not.
        (cluster(4), [], [waiter("a", 4)], WAIT, {"a": "yes"}),
        (
            cluster(4),
            [],
            [waiter("a", 2), waiter("b", 2), waiter("c")],
            WAIT,
            {"a": "yes", "b": "yes", "c": "behind 0"},
        ),
        (cluster(0), [], [waiter("a"), waiter("b")], WAIT, {"a": "behind 0", "b": "behind 1"}),
        (cluster(2, 2), [], [waiter("a", 4, size=4)], WAIT, {"a": "behind 0"}),
        (cluster(), [], [waiter("a")], WAIT, {"a": "behind 0"}),
        (cluster(8, status="RECOVERING"), [], [waiter("a")], WAIT, {"a": "behind 0"}),
        (cluster(8, state="DECOMMISSIONED"), [], [waiter("a")], WAIT, {"a": "behind 0"}),
        # What leases reserve is not free; what the master grants already isn't counted twice.
        (cluster(8), [lease(6)], [waiter("a", 4)], WAIT, {"a": "behind 0"}),
        (cluster(4), [lease(4, granted=4)], [waiter("a", 4)], WAIT, {"a": "yes"}),
        (cluster(4), [lease(6, granted=4)], [waiter("a", 4)], WAIT, {"a": "behind 0"}),
        (cluster(8), [lease(6, granted=6, ended=True)], [waiter("a", 8)], WAIT, {"a": "yes"}),
        # Nobody passes one that waits. Those who wait already have no decision, but the first may be admitted.
        (cluster(2), [], [waiter("big", 4), waiter("small")], WAIT, {"big": "behind 0", "small": "behind 1"}),
        (cluster(2), [], [waiter("big", 4, examined=True), waiter("small", examined=True)], WAIT, {}),
        (cluster(2), [], [waiter("big", 4, examined=True), waiter("new")], WAIT, {"new": "behind 1"}),
        (cluster(4), [], [waiter("a", 4, examined=True), waiter("b", examined=True)], WAIT, {"a": "yes"}),
        # An application that waits at the master is ahead of all, and keeps free cores, but only those that it lacks.
        (
            cluster(0),
            [at_the_master(), at_the_master(), lease(1)],
            [waiter("a"), waiter("b")],
            WAIT,
            {"a": "behind 2", "b": "behind 3"},
        ),
        (cluster(1), [at_the_master(2, size=2)], [waiter("a")], WAIT, {"a": "behind 1"}),
        (cluster(1, 1), [at_the_master(2, size=2)], [waiter("a")], WAIT, {"a": "behind 1"}),
        (cluster(1, 1, 1), [at_the_master(2, size=2)], [waiter("a"), waiter("b")], WAIT, {"a": "yes", "b": "behind 1"}),
        (
            cluster(0),
            [at_the_master()],
            [waiter("a"), waiter("b")],
            AdmissionPolicy(max_queue=1),
            {"a": "behind 1", "b": FULL},
        ),
        # What never fits is refused and holds up nobody, also when it waited.
        (cluster(8), [], [waiter("a", 9), waiter("b")], WAIT, {"a": SMALL, "b": "yes"}),
        (cluster(8), [], [waiter("a", 9, examined=True), waiter("b", examined=True)], WAIT, {"a": SMALL, "b": "yes"}),
        # Nobody may wait, or only so many.
        (cluster(2), [], [waiter("a", 4), waiter("b")], REJECT, {"a": BUSY, "b": "yes"}),
        (cluster(0), [], [waiter("a")], AdmissionPolicy(max_queue=0), {"a": BUSY}),
        (
            cluster(0),
            [],
            [waiter("a"), waiter("b"), waiter("c")],
            AdmissionPolicy(max_queue=2),
            {"a": "behind 0", "b": "behind 1", "c": FULL},
        ),
        (
            cluster(0),
            [],
            [waiter("a", examined=True), waiter("b", examined=True)],
            AdmissionPolicy(max_queue=1),
            {},
        ),
        # A user's share: what leases hold and what waits ahead counts, a resting lease does not.
        (cluster(8), [lease(3)], [waiter("a", 2)], AdmissionPolicy(max_cores_per_user=4), {"a": SHARE}),
        (cluster(8), [lease(3, user="bob")], [waiter("a", 2)], AdmissionPolicy(max_cores_per_user=4), {"a": "yes"}),
        (
            cluster(8),
            [lease(4, granted=4, ended=True)],
            [waiter("a", 4)],
            AdmissionPolicy(max_cores_per_user=4),
            {"a": "yes"},
        ),
        (
            cluster(8),
            [],
            [waiter("a", 3), waiter("b", 2), waiter("c")],
            AdmissionPolicy(max_cores_per_user=4),
            {"a": "yes", "b": SHARE, "c": "yes"},
        ),
        (
            cluster(0),
            [],
            [waiter("a", 3), waiter("b", 2)],
            AdmissionPolicy(max_cores_per_user=4),
            {"a": "behind 0", "b": SHARE},
        ),
        (cluster(8), [lease(4)], [waiter("a", examined=True)], AdmissionPolicy(max_cores_per_user=4), {"a": "yes"}),
        # A bound of the user's own stands in the place of everybody's, a larger one too; 0 is none.
        (cluster(8), [lease(3)], [waiter("a", 2, bound=5)], AdmissionPolicy(max_cores_per_user=4), {"a": "yes"}),
        (cluster(8), [lease(3)], [waiter("a", 2, bound=0)], AdmissionPolicy(max_cores_per_user=4), {"a": "yes"}),
        (cluster(8), [lease(3)], [waiter("a", 1, bound=3)], AdmissionPolicy(max_cores_per_user=4), {"a": SHARE}),
        (cluster(8), [lease(3)], [waiter("a", 2, bound=4)], WAIT, {"a": SHARE}),
        (
            cluster(8),
            [lease(3)],
            [waiter("a", 2, bound=4), waiter("b", 2, user="bob"), waiter("c", 1, bound=4)],
            WAIT,
            {"a": SHARE, "b": "yes", "c": "yes"},
        ),
        # Kernels without a user's name are one user's.
        (
            cluster(8),
            [lease(3, user="")],
            [waiter("a", 2, user=""), waiter("b", 2)],
            AdmissionPolicy(max_cores_per_user=4),
            {"a": SHARE, "b": "yes"},
        ),
        # Where users take turns one that comes may be before some that wait; those count for max_queue all the same.
        (
            cluster(0),
            [],
            [waiter("a", examined=True), waiter("new", user="bob"), waiter("b", examined=True)],
            AdmissionPolicy(max_queue=3, queue_order="fair"),
            {"new": "behind 1"},
        ),
        (
            cluster(0),
            [],
            [waiter("a", examined=True), waiter("new", user="bob"), waiter("b", examined=True)],
            AdmissionPolicy(max_queue=2, queue_order="fair"),
            {"new": FULL},
        ),
        (
            cluster(1),
            [],
            [waiter("a", examined=True), waiter("new", user="bob"), waiter("b", examined=True)],
            AdmissionPolicy(max_queue=2, queue_order="fair"),
            {"a": "yes", "new": "behind 0"},
        ),
        # No answer.
        (NoAnswer(REFUSED, False), [], [waiter("a"), waiter("b")], WAIT, {"a": "behind 0", "b": "behind 1"}),
        (NoAnswer(REFUSED, False), [], [waiter("a", examined=True)], WAIT, {}),
        (NoAnswer(REFUSED, False), [], [waiter("a")], REJECT, {"a": UNREACHABLE}),
        (NoAnswer(REFUSED, True), [lease(99)], [waiter("a", 99), waiter("b")], WAIT, {"a": "yes", "b": "yes"}),
        (NoAnswer(REFUSED, True), [lease(3)], [waiter("a", 2)], AdmissionPolicy(max_cores_per_user=4), {"a": SHARE}),
        # Nobody.
        (cluster(8), [lease(1)], [], WAIT, {}),
    ],
)
def test_what_is_decided(
    answer: Any, leases: list[Lease], waiters: list[Waiter], policy: AdmissionPolicy, expected: dict[str, str]
) -> None:
    before = [each.examined for each in waiters]
    decisions = decide(answer, leases, waiters, policy)
    assert (told(decisions), decisions.is_complete) == (expected, True)
    assert [each.examined for each in waiters] == before
    assert told(decide(answer, leases, waiters, policy)) == expected, "deciding has an effect"


def test_what_was_given_back_since_the_master_was_asked_is_not_free_but_its_users() -> None:
    policy = AdmissionPolicy(max_cores_per_user=4)
    decided = decide(cluster(4), [], [waiter("a", 4)], policy, returned=[lease(4)])
    assert told(decided) == {"a": "behind 0"}
    decided = decide(cluster(8), [], [waiter("a", 4)], policy, returned=[lease(4)])
    assert told(decided) == {"a": "yes"}


def test_one_call_examines_so_many_and_says_that_some_are_left() -> None:
    waiters = [waiter(str(number), examined=number < 3) for number in range(6)]
    decisions = decide(cluster(0), [], waiters, WAIT, most=2)
    # The first is examined each time; those behind it that have been examined before are only counted.
    assert (told(decisions), decisions.is_complete) == ({"3": "behind 3"}, False)
    waiters[3].examined = True
    decisions = decide(cluster(0), [], waiters, WAIT, most=3)
    assert (told(decisions), decisions.is_complete) == ({"4": "behind 4", "5": "behind 5"}, True)


def test_an_unchecked_admission_says_why_it_is() -> None:
    one = waiter("a")
    assert decide(NoAnswer(REFUSED, True), [], [one], WAIT).made == [Admit(one, REFUSED)]
    assert decide(cluster(8), [], [one], WAIT).made == [Admit(one, None)]
    assert decide(cluster(0), [], [one], WAIT).made == [Wait(one, 0)]


def test_a_refusal_counts_those_admitted_in_the_same_call() -> None:
    decisions = decide(cluster(8), [lease(2)], [waiter("a", 5), waiter("b", 4)], REJECT)
    refusal = decisions.made[1]
    assert isinstance(refusal, Refuse)
    assert "; 1 of 8 is free, 7 promised to notebooks that don't use them yet." in str(refusal.error)


def test_a_refusal_counts_applications_that_wait_among_those_ahead() -> None:
    [refusal] = decide(cluster(0), [at_the_master()], [waiter("a")], REJECT).made
    assert isinstance(refusal, Refuse) and "; 1 notebook is ahead of you." in str(refusal.error)


def test_what_needs_no_answer_is_refused_before() -> None:
    policy = AdmissionPolicy(max_cores_per_user=4)
    check_request(ExecutorRequest(4, 2, GIB), policy)
    with pytest.raises(OutOfBounds, match=r"needs 5 cores; a user may have 4 \(max_cores_per_user\)"):
        check_request(ExecutorRequest(5, None, GIB), policy)
    with pytest.raises(OutOfBounds, match=r"needs 3 cores; this user may have 2 \(max_cores\)"):
        check_request(ExecutorRequest(3, None, GIB), policy, 2)
    check_request(ExecutorRequest(5, None, GIB), policy, 6)
    check_request(ExecutorRequest(99, None, GIB), policy, 0)
    with pytest.raises(RequestError, match="not even one executor"):
        check_request(ExecutorRequest(1, 2, GIB), WAIT)
