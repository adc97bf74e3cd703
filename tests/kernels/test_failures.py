"""The last failures: whose they are, how many there may be, and who sees which."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from kg2at_personality.kernels.failures import LONGEST, OWNERS, SHOWN, Failures
from kg2at_personality.kernels.journal import BecameZombie, Died, KernelFacts, RestartResult, StartResult, Stopped
from kg2at_personality.kernels.outcomes import CANCELLED, STARTED, STOPPED, Outcome
from kg2at_personality.kernels.user import ADMINISTRATOR, GatewayUser
from tests.fakes.identity import ALICE, BOB, ROOT, with_users

BUSY = Outcome("refused", "cluster_busy")
ALICES = KernelFacts("ID", "spark_python", "alice", "alice", 2)


def refused(owner: str, message: str = "No.") -> StartResult:
    return StartResult(KernelFacts("ID", "spark_python", owner, owner), BUSY, message, 1.0, is_warm=False)


def said(failures: Failures, user: GatewayUser = ADMINISTRATOR) -> list[tuple[str, str, str]]:
    return [(row["what"], row["reason"], row["message"]) for row in failures.status(user)]


def test_what_is_a_failure() -> None:
    failures = Failures()
    for entry in (
        *(StartResult(ALICES, outcome, "", 1.0, is_warm=False) for outcome in (STARTED, CANCELLED, STOPPED)),
        RestartResult(ALICES, STARTED, "", "alice"),
        Died(ALICES, "At its start.", 1.0, is_restarted=False, at_start=True),
        Stopped(ALICES, "alice", "", 1.0, had_lived=True),
    ):
        failures.hear(entry)
    assert said(failures) == []
    for entry in (
        refused("alice"),
        StartResult(ALICES, Outcome("failed", "died"), "At its start.", 1.0, is_warm=False),
        RestartResult(ALICES, BUSY, "Not now.", "root"),
        Died(ALICES, "Once.", 0.0, is_restarted=True, at_start=False),
        Died(ALICES, "For good.", 1.0, is_restarted=False, at_start=False),
        BecameZombie(ALICES, "It outlives SIGKILL."),
    ):
        failures.hear(entry)
    assert said(failures)[::-1] == [
        ("refused", "cluster_busy", "No."),
        ("failed", "died", "At its start."),
        ("refused", "cluster_busy", "Not now."),
        ("died", "restarted", "Once."),
        ("died", "died", "For good."),
        ("zombie", "zombie", "It outlives SIGKILL."),
    ]


def test_a_row() -> None:
    failures = Failures()
    failures.hear(StartResult(ALICES, BUSY, "x" * 3 * LONGEST, 1.0, is_warm=False))
    [row] = failures.status(ADMINISTRATOR)
    assert datetime.now(timezone.utc) >= row.pop("time") and len(row.pop("message")) == LONGEST
    about = {"kernel_id": "ID", "name": "spark_python", "user": "alice"}
    assert row == about | {"what": "refused", "reason": "cluster_busy"}


def test_those_of_one_user_push_out_nobody_elses() -> None:
    failures, bob = Failures(), GatewayUser("bob")
    failures.hear(refused("bob"))
    for number in range(3 * SHOWN):
        failures.hear(refused("alice", str(number)))
    assert said(failures, bob) == [("refused", "cluster_busy", "No.")]
    assert [message for _, _, message in said(failures)] == [str(number) for number in range(3 * SHOWN)][
        : -SHOWN - 1 : -1
    ]
    assert said(failures, GatewayUser("carol")) == []


def test_owners_are_bounded_and_the_last_ones_stay() -> None:
    failures = Failures()
    for number in range(3 * OWNERS):
        failures.hear(refused("alice"))
        failures.hear(refused(str(number)))
    assert len(failures._by_owner) == OWNERS
    assert said(failures, GatewayUser("alice")) and not said(failures, GatewayUser("0"))


@pytest.mark.gen_test(timeout=60)
class TestTheStatus:
    @pytest.fixture
    def settings(self) -> Any:
        return with_users()

    async def test_a_user_sees_their_own_and_an_administrator_all(self, gateway: Any) -> None:
        for who, name in ((ALICE, "alices"), (BOB, "bobs")):
            assert (await gateway.ask("POST", "/api/kernels", {"name": name}, **who)).code == 404

        async def names(who: Any) -> list[str]:
            body = json.loads((await gateway.ask("GET", "/kg2at/status", **who)).body)
            return [row["name"] for row in body["failures"]]

        assert [await names(who) for who in (ALICE, BOB, ROOT)] == [["alices"], ["bobs"], ["bobs", "alices"]]
