"""What must hold of the order of those who wait, whoever comes and goes: told by nothing but who came and who left."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field

from kg2at_personality.admission.lease_table import LeaseTable
from kg2at_personality.admission.waiting_list import Entry, WaitingList


def user_of(entry: Entry) -> str:
    return entry.waiter.request.user


@dataclass(eq=False)
class Came:
    """`before` are so many of its own user; `passed_by` counts for each user those that came later and left first.

    `users` had a place in the rotation already.
    """

    number: int
    before: int
    users: set[str]
    passed_by: Counter[str] = field(default_factory=Counter)


class TurnJudge:
    """Sees each entry come to a waiting list and leave it, and each lease that is given."""

    def __init__(self, waiting: WaitingList, leases: LeaseTable, *, is_fair: bool) -> None:
        self.waiting, self.is_fair = waiting, is_fair
        self.came: dict[Entry, Came] = {}
        self.numbers = itertools.count()
        #: Of each user: the others that have waited ever since its last turn, without one of their own.
        self.owed: dict[str, set[str]] = {}
        self.last_from_head = ""
        self.turns = 0
        self._watch(waiting, leases)

    def _watch(self, waiting: WaitingList, leases: LeaseTable) -> None:
        add, remove, admit = waiting.add, waiting.remove, leases.admit

        def watched_add(*args: object) -> Entry:
            before = waiting.entries
            entry = add(*args)  # type: ignore[arg-type]
            self.has_come(entry, before)
            return entry

        def watched_remove(entry: Entry) -> None:
            before = waiting.entries
            remove(entry)
            if entry in self.came:
                self.has_left(entry, before)

        def watched_admit(request: object, *args: object) -> None:
            assert self.last_from_head == request.kernel_id, "somebody was passed"  # type: ignore[attr-defined]
            admit(request, *args)  # type: ignore[arg-type]

        waiting.add, waiting.remove = watched_add, watched_remove  # type: ignore[method-assign, assignment]
        leases.admit = watched_admit  # type: ignore[method-assign, assignment]

    def has_come(self, entry: Entry, before: list[Entry]) -> None:
        after = self.waiting.entries
        assert [each for each in after if each is not entry] == before, "who comes changes the order of the others"
        assert not before or after[0] is before[0], "the head was displaced"
        mine = [each for each in before if user_of(each) == user_of(entry)]
        self.came[entry] = Came(next(self.numbers), len(mine), {user_of(each) for each in before})
        self.judge_order()

    def has_left(self, entry: Entry, before: list[Entry]) -> None:
        after, came = self.waiting.entries, self.came.pop(entry)
        rest = [each for each in before if each is not entry]
        is_head = before[0] is entry
        self.last_from_head = entry.waiter.request.kernel_id if is_head else ""
        if is_head:
            assert after == rest, "a turn changes the order of the others"
            self.has_had_turn(user_of(entry), came)
        else:
            assert after[0] is before[0], "the head was displaced"
            others = [each for each in rest if user_of(each) != user_of(entry)]
            assert [each for each in after if user_of(each) != user_of(entry)] == others
            assert all(after.index(each) <= before.index(each) for each in rest if user_of(each) == user_of(entry))
        self.forget_who_waits_no_more()
        self.judge_order()

    def has_had_turn(self, user: str, came: Came) -> None:
        self.turns += 1
        for each, other in self.came.items():
            if other.number < came.number and user_of(each) != user:
                other.passed_by[user] += 1
                # One that is cancelled leaves its place to its user's next, which may have come later.
                bound = other.before + (user in other.users) if self.is_fair else 0
                assert other.passed_by[user] <= bound, "somebody was passed too often"
        if self.is_fair:
            assert not self.owed.get(user), "somebody had two turns while another waited"
        for owed in self.owed.values():
            owed.discard(user)
        self.owed[user] = {user_of(each) for each in self.came} - {user}

    def forget_who_waits_no_more(self) -> None:
        waiting = {user_of(each) for each in self.came}
        for owed in self.owed.values():
            owed &= waiting

    def judge_order(self) -> None:
        after = self.waiting.entries
        assert set(after) == set(self.came) and len(after) == len(self.came) == len(self.waiting)
        assert [self.waiting.ahead(each) for each in after] == list(range(len(after)))
        for user in {user_of(each) for each in after} if self.is_fair else [None]:
            numbers = [self.came[each].number for each in after if user in (None, user_of(each))]
            assert numbers == sorted(numbers), "those of one user don't keep the order in which they came"
        if self.is_fair:
            places = [sum(user_of(one) == user_of(each) for one in after[:at]) for at, each in enumerate(after)]
            assert places == sorted(places), "a user's next comes before another's first"
