from __future__ import annotations

import re

import pytest

from kg2at_personality.errors import CulledKernel
from kg2at_personality.kernels.ended_kernels import EndedKernels, cull_reason


class Clock:
    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ended(clock: Clock) -> EndedKernels:
    return EndedKernels(clock)


def test_the_reason_is_told_for_a_day_and_the_id_known_longer(ended: EndedKernels, clock: Clock) -> None:
    ended.add("a", reason="Nobody used it.")
    clock.now += 86_399
    with pytest.raises(CulledKernel, match="Nobody used it"):
        ended.check("a")
    clock.now += 1
    ended.check("a")
    assert "a" in ended


def test_one_that_was_not_culled_is_nothing_special(ended: EndedKernels) -> None:
    ended.add("a")
    for kernel_id in ("a", "never known"):
        ended.check(kernel_id)


def test_an_id_that_was_used_again_has_its_last_end(ended: EndedKernels) -> None:
    ended.add("a", reason="Nobody used it.")
    ended.add("a")
    ended.check("a")


def test_whose_it_was_is_known(ended: EndedKernels) -> None:
    ended.add("a", "alice")
    ended.add("b")
    assert (ended.owner_of("a"), ended.owner_of("b"), ended.owner_of("c")) == ("alice", "", None)


def test_their_number_is_bounded_and_the_last_ones_stay(ended: EndedKernels) -> None:
    ended.add("first", reason="Nobody used it.")
    ended.add("again", reason="Nobody used it.")
    for number in range(9_998):
        ended.add(str(number))
    ended.add("again", reason="Nobody used it.")
    ended.add("last")
    assert "first" not in ended and "0" in ended
    with pytest.raises(CulledKernel):
        ended.check("again")


@pytest.mark.parametrize(
    ("seconds", "span"), [(3600, "1 h"), (7200, "2 h"), (5400, "90 min"), (60, "1 min"), (90, "90 s"), (1, "1 s")]
)
def test_the_reason(seconds: int, span: str) -> None:
    time = r"This kernel was shut down at \d\d:\d\d UTC: "
    why = re.escape(f"it had not been used for {span} (cull_idle_timeout). Start another one.")
    assert re.fullmatch(time + why, cull_reason(False, seconds))
    assert re.fullmatch(rf"{time}it was dead\. Start another one\.", cull_reason(True, seconds))
