"""Each error has an outcome, which says little enough to be a label."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest

from kg2at_personality import errors
from kg2at_personality.errors import ClusterBusy, KG2ATError, SparkConfError
from kg2at_personality.kernels.outcomes import (
    ALL,
    CANCELLED,
    INTERNAL,
    INTERNAL_ERROR,
    OUTCOMES,
    Outcome,
    outcome_of,
    told_of,
)

#: Those of a Spark UI, which no start shows.
OF_NO_START = (errors.NoSparkUi, errors.SparkUiSilent, errors.ReadOnly)


def error_classes() -> Iterator[type[KG2ATError]]:
    for each in vars(errors).values():
        if isinstance(each, type) and issubclass(each, KG2ATError) and each not in (KG2ATError, *OF_NO_START):
            yield each


@pytest.mark.parametrize("error", list(error_classes()), ids=lambda error: error.__name__)
def test_each_error_of_a_user_has_one_that_says_something(error: type[KG2ATError]) -> None:
    outcome = outcome_of(error.__new__(error))
    assert outcome in ALL and outcome != INTERNAL
    assert outcome.reason or outcome.kind == "stopped"


def test_they_are_few_and_plain() -> None:
    assert len(ALL) == len(set(ALL)) <= 25 and set(OUTCOMES.values()) < set(ALL)
    assert {outcome.kind for outcome in ALL} == {"started", "refused", "failed", "cancelled", "stopped"}
    assert all(re.fullmatch("[a-z_]*", word) for outcome in ALL for word in outcome)


@pytest.mark.parametrize(
    ("error", "outcome", "told"),
    [
        (ClusterBusy("No.", 3), Outcome("refused", "cluster_busy"), "No."),
        (SparkConfError("a:1", "is wrong"), Outcome("failed", "configuration"), "a:1: is wrong"),
        (KeyError("a secret"), INTERNAL, INTERNAL_ERROR),
        (asyncio.CancelledError(), CANCELLED, ""),
    ],
)
def test_what_is_told(error: BaseException, outcome: Outcome, told: str) -> None:
    assert (outcome_of(error), told_of(error)) == (outcome, told)
