"""Who was let in and who was refused, and who started and stopped whose kernels: a line each in a log of its own."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from logging import Logger
from typing import TypeVar

from .journal import Entry, RestartResult, Started, Stopped
from .outcomes import STARTED

K = TypeVar("K")
V = TypeVar("V")
#: Below the gateway's own, whose handlers it has unless it is given others.
LOGGER = "kg2at.audit"
#: Seconds for which a user from the same address is not told again, and one who is refused.
LET_IN_EVERY, REFUSED_EVERY = 3600.0, 10.0
#: Most users and addresses that are remembered, and most characters of a path that are told.
REMEMBERED, LONGEST_PATH = 1000, 200
PLAIN = re.compile(r"[A-Za-z0-9_.@:/+%-]+")


class Audit:
    """Writes the lines. The logger is LOGGER below the application's: `KernelGatewayApp.kg2at.audit`.

    Its lines are the gateway's log's too, until an administrator gives that logger handlers and takes `propagate` from
    it (KernelGatewayApp.logging_config). A user "" is whoever has the gateway's one token, or needs none.
    """

    def __init__(self, log: Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log.getChild(LOGGER), clock
        #: User and address -> when they were told.
        self._let_in: dict[tuple[str, str], float] = {}
        #: Address -> when it was told, and how many requests have been refused since.
        self._refused: dict[str, tuple[float, int]] = {}

    def let_in(self, user: str, address: str) -> None:
        """Called for each request of one who is known; told once an hour."""
        who, now = (user, address), self._clock()
        if now - self._let_in.get(who, -LET_IN_EVERY) >= LET_IN_EVERY:
            _remember(self._let_in, who, now)
            self._log.info("let in: %s from %s", _whom(user), _shown(address))

    def refused(self, method: str, path: str, address: str, status: int) -> None:
        """Called for each request that is refused; `path` has no query, where a token may be."""
        now = self._clock()
        told, more = self._refused.get(address, (-REFUSED_EVERY, 0))
        if now - told < REFUSED_EVERY:
            self._refused[address] = told, more + 1
            return
        _remember(self._refused, address, (now, 0))
        before = f", and {more} more before" if more else ""
        text = "refused: %s %s from %s: %d%s"
        self._log.warning(text, _shown(method), _shown(path[:LONGEST_PATH]), _shown(address), status, before)

    def hear(self, entry: Entry) -> None:
        """Called by the journal with each entry: tell of kernels that users have, had restarted, and have no more."""
        kernel = entry.kernel
        if isinstance(entry, Started):
            what, how = (
                f"{kernel.kernel_id} ({_shown(kernel.kernel_name)})",
                ", which had waited" if entry.is_warm else "",
            )
            self._log.info("started: kernel %s of %s%s", what, _whom(kernel.owner), how)
        elif isinstance(entry, RestartResult) and entry.outcome == STARTED:
            self._log.info("restarted: kernel %s of %s, by %s", kernel.kernel_id, _whom(kernel.owner), _whom(entry.by))
        elif isinstance(entry, Stopped):
            who, why = (
                "the gateway" if entry.by is None else _whom(entry.by),
                f": {entry.message}" if entry.message else "",
            )
            self._log.info("stopped: kernel %s of %s, by %s%s", kernel.kernel_id, _whom(kernel.owner), who, why)


def _whom(user: str) -> str:
    return _shown(user) if user else "the administrator"


def _shown(text: str) -> str:
    """Return a text that can't be taken for another line, or for other words of its own."""
    return text if PLAIN.fullmatch(text) else repr(text)


def _remember(told: dict[K, V], key: K, value: V) -> None:
    """Put `key` last, and forget the first of too many."""
    told.pop(key, None)
    told[key] = value
    if len(told) > REMEMBERED:
        del told[next(iter(told))]
