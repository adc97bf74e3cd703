"""What an application waits for that has fewer cores than one of its executors needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ApplicationWait:
    """One kernel's application that was admitted and waits at the master.

    `app_id` is None while it has not registered: the master does not answer, for one. It lacks so many `cores`.
    `place` is 1 for the first in line; None when there is no line. `message` says in one line of plain text what it
    waits for, how many cores are free of how many, who holds them, and its place. It has no time in it.
    """

    kernel_id: str
    app_id: str | None
    cores: int
    place: int | None
    message: str
