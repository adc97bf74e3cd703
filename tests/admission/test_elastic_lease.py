"""What a lease reserves of an application with dynamic allocation: by what it has, and by what its kernel does."""

from __future__ import annotations

import pytest

from kg2at_personality.admission.kernel_work import KernelWork
from kg2at_personality.admission.lease import Claim, Lease, Sighting
from kg2at_personality.admission.policy import AdmissionPolicy
from kg2at_personality.spark.cluster import App, ExecutorRequest, needed
from kg2at_personality.spark.driver_report import DriverReport

GIB = 1024
APP = "app-1"
UNKNOWN = KernelWork()


def job(tasks: int, executors: int = 0) -> KernelWork:
    return KernelWork(True, DriverReport(app_id=APP, jobs=1, tasks=tasks, executors=executors))


def idle(app_id: str = APP) -> KernelWork:
    """It has run a job."""
    return KernelWork(False, DriverReport(app_id=app_id, idle_since=5.0))


NEW = KernelWork(False, DriverReport(app_id=APP))


def lease(granted: list[int], work: KernelWork = UNKNOWN, *, initial: int | None = 2, cores: int = 4) -> Lease:
    """A lease of executors of 2 cores, whose application has been granted these cores one after another."""
    executors = ExecutorRequest(cores, 2, GIB, initial)
    made = Lease(Claim("k"), "ann", executors, needed(executors))
    for moment, each in enumerate(granted):
        made.update(Sighting([App(APP, "n", "ann", each)]), float(moment))
    made.note(work, 10.0)
    return made


@pytest.mark.parametrize(
    ("granted", "work", "outstanding", "given_back", "used"),
    [
        # Its first executors are reserved until it has had them, whatever it does.
        ([], UNKNOWN, 4, 0, 4),
        ([0], UNKNOWN, 4, 0, 4),
        ([0], NEW, 4, 0, 4),
        ([2], job(1), 2, 0, 4),
        ([2, 4], idle(), 0, 0, 4),
        # What it gave back is reserved as far as its job can use it.
        ([4, 2], idle(), 0, 2, 2),
        ([4, 0], idle(), 0, 4, 0),
        ([4, 0], UNKNOWN, 0, 4, 0),
        ([4, 0], KernelWork(True), 0, 4, 0),
        ([4, 0], job(1), 2, 2, 2),
        ([4, 0], job(2), 2, 2, 2),
        ([4, 0], job(3), 4, 0, 4),
        ([4, 0], job(1000), 4, 0, 4),
        ([4, 2], job(2, executors=1), 0, 2, 2),
        ([4, 2], job(3, executors=1), 2, 0, 4),
        ([4, 0], KernelWork(False, job(3).report), 4, 0, 4),  # of a thread, while no cell runs
        ([4, 0, 4], job(9, executors=2), 0, 0, 4),
        # After a job it asks for no more, though it never got them.
        ([2], idle(), 0, 2, 2),
        ([0], idle(), 0, 4, 0),
        ([2], idle("app-0"), 2, 0, 4),  # that was the application before
        # It may have more than it was admitted with.
        ([6, 2], idle(), 0, 2, 2),
        ([6], idle(), 0, 0, 6),
    ],
)
def test_it_follows_its_application(
    granted: list[int], work: KernelWork, outstanding: int, given_back: int, used: int
) -> None:
    made = lease(granted, work)
    assert (made.outstanding_cores, made.given_back, made.used_cores) == (outstanding, given_back, used)
    assert (made.outstanding is None) is (outstanding == 0)


def test_without_dynamic_allocation_what_is_lost_stays_reserved() -> None:
    for work in (UNKNOWN, idle(), job(1)):
        made = lease([4, 2], work, initial=None)
        assert (made.outstanding_cores, made.given_back, made.used_cores) == (2, 0, 4)


def test_the_next_application_begins_anew() -> None:
    made = lease([4, 0], idle())
    made.update(Sighting([App("app-2", "n", "ann", 0)], {APP}), 20.0)
    assert (made.app_id, made.outstanding_cores, made.given_back) == ("app-2", 4, 0)
    made.update(Sighting([App("app-2", "n", "ann", 2)], {APP}), 21.0)
    assert made.outstanding_cores == 2


def test_the_last_registered_of_its_applications_is_its_own() -> None:
    """The master lists them in any order."""
    first, second = App("app-1", "n", "ann", 2, 60.0), App("app-2", "n", "ann", 0, 5.0)
    for seen in ([first, second], [second, first]):
        made = lease([])
        made.update(Sighting(seen), 0.0)
        assert (made.app_id, made.granted) == ("app-2", 2)


def test_one_that_rests_has_given_back_all() -> None:
    made = lease([4], job(4))
    made.update(Sighting([], {APP}), 20.0)
    assert (made.given_back, made.used_cores, made.outstanding) == (4, 0, None)
    made.renew(21.0)
    assert (made.given_back, made.outstanding_cores, made.work) == (0, 4, UNKNOWN)


@pytest.mark.parametrize(
    ("granted", "work", "initial", "waits"),
    [
        ([], KernelWork(True), 2, False),  # not registered
        ([0], UNKNOWN, 2, True),
        ([0], UNKNOWN, None, True),
        ([0], NEW, None, True),  # without dynamic allocation the next core that is free is its own
        ([2], job(9), 2, False),
        ([4, 0], idle(), 2, False),
        ([4, 0], job(1), 2, True),
        ([0], NEW, 0, False),  # it asks for executors with its first job
        ([0], KernelWork(False, DriverReport(is_starting=True)), 0, True),
        ([0], job(1), 0, True),
        ([0], UNKNOWN, 0, True),
    ],
)
def test_who_waits_at_the_master(granted: list[int], work: KernelWork, initial: int | None, waits: bool) -> None:
    assert (lease(granted, work, initial=initial).waits_since is not None) is waits


def test_it_waits_since_it_was_first_seen_to() -> None:
    made = lease([])
    for moment, cores in ((20.0, 0), (21.0, 0)):
        made.update(Sighting([App(APP, "n", "ann", cores)]), moment)
    made.note(job(1), 22.0)
    assert made.waits_since == 20.0
    made.update(Sighting([App(APP, "n", "ann", 4)]), 23.0)
    assert made.waits_since is None
    made.update(Sighting([App(APP, "n", "ann", 0)]), 24.0)
    assert made.waits_since == 24.0
    made.update(Sighting([App("app-2", "n", "ann", 0)], {APP}), 25.0)
    assert made.waits_since == 25.0, "that is another one"


@pytest.mark.parametrize(
    ("granted", "work", "lacks"),
    [
        ([], UNKNOWN, False),
        ([], KernelWork(True), True),  # nobody knows whether its cell uses Spark
        ([0], KernelWork(True), True),
        ([2], KernelWork(True), False),
        ([], KernelWork(True, DriverReport()), False),
        ([], KernelWork(True, DriverReport(is_starting=True)), True),
        ([], KernelWork(False, DriverReport(is_starting=True)), False),
        ([0], job(1), True),
        ([4], job(1), True),  # the answer is old, or its executor is starting
        ([4], job(1, executors=1), False),
    ],
)
def test_who_lacks_an_executor(granted: list[int], work: KernelWork, lacks: bool) -> None:
    assert (lease(granted, work).lacks_since is not None) is lacks


@pytest.mark.parametrize(
    ("granted", "work", "initial", "unsettled"),
    [
        ([], UNKNOWN, None, True),
        ([2], UNKNOWN, None, True),
        ([4], UNKNOWN, None, False),
        ([4], UNKNOWN, 2, True),  # it may give them back
        ([4, 0], idle(), 2, False),
        ([4, 0], job(1, executors=1), 2, True),  # its driver has what no answer has shown
        ([4], KernelWork(True, DriverReport(app_id="app-2")), None, True),
        ([4], KernelWork(True, DriverReport(app_id=APP)), None, False),
        ([4], KernelWork(True, DriverReport()), None, False),
    ],
)
def test_when_the_master_may_have_news(
    granted: list[int], work: KernelWork, initial: int | None, unsettled: bool
) -> None:
    assert lease(granted, work, initial=initial).is_unsettled is unsettled


def test_a_lease_of_one_executor_is_elastic_too() -> None:
    minimum = AdmissionPolicy(core_requirement="min")
    assert minimum.reserved(ExecutorRequest(8, 2, GIB, 4)) == ExecutorRequest(2, 2, GIB, 1)
    assert minimum.reserved(ExecutorRequest(8, 2, GIB)) == ExecutorRequest(2, 2, GIB)
    assert AdmissionPolicy().reserved(ExecutorRequest(8, 2, GIB, 4)) == ExecutorRequest(8, 2, GIB, 4)
