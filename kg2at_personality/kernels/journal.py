"""What is told of the lives of kernels, in one place, to whoever listens: log lines, failures, metrics, events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from logging import Logger

from .outcomes import Outcome

#: How a kernel is stopped.
USER, CULLED, GATEWAY = "user", "culled", "gateway"


@dataclass(frozen=True)
class KernelFacts:
    """Which kernel, or start of one, an entry is about.

    `owner` is whose it is ("": the administrators'), `user` the owner or else whom its client told, `cores` what it was
    admitted with (0: it takes none of the cluster's, or has not come to that).
    """

    kernel_id: str
    kernel_name: str
    owner: str
    user: str
    cores: int = 0


@dataclass(frozen=True)
class CoreWaitResult:
    """A kernel has waited for its cores for so many seconds, and has them (STARTED) or what `outcome` says instead."""

    kernel: KernelFacts
    outcome: Outcome
    seconds: float


@dataclass(frozen=True)
class Started:
    """A user has a kernel, which has not answered yet. `is_warm`: it had waited."""

    kernel: KernelFacts
    is_warm: bool


@dataclass(frozen=True)
class StartResult:
    """A user's kernel has answered for the first time (STARTED), after so many seconds, or there is none.

    Told once for each start. `message` is what its client was told.
    """

    kernel: KernelFacts
    outcome: Outcome
    message: str
    seconds: float
    is_warm: bool


@dataclass(frozen=True)
class RestartResult:
    """A user, `by`, has had a kernel restarted (STARTED), or was refused that."""

    kernel: KernelFacts
    outcome: Outcome
    message: str
    by: str


@dataclass(frozen=True)
class Died:
    """A kernel's process ended by itself. Told once for each process.

    `is_restarted`: the gateway starts it again, and it keeps its cores. `at_start`: its start ends by that. `seconds`
    is how long it has had its cores; 0 when it keeps them.
    """

    kernel: KernelFacts
    message: str
    seconds: float
    is_restarted: bool
    at_start: bool


@dataclass(frozen=True)
class Stopped:
    """A kernel was stopped by a user, or by the gateway (`by` None); `message` tells why it was culled.

    `had_lived`: it had been started, and had not died. `seconds` is how long it has had its cores; 0 when it had none.
    """

    kernel: KernelFacts
    by: str | None
    message: str
    seconds: float
    had_lived: bool

    @property
    def how(self) -> str:
        """Return who or what stopped it, in a word."""
        return USER if self.by is not None else CULLED if self.message else GATEWAY


@dataclass(frozen=True)
class Interrupted:
    """A user has had a kernel interrupted (STARTED), or that failed."""

    kernel: KernelFacts
    outcome: Outcome
    message: str


@dataclass(frozen=True)
class BecameZombie:
    """A kernel's process outlives its end, for the reason in `message`."""

    kernel: KernelFacts
    message: str


Entry = CoreWaitResult | Started | StartResult | RestartResult | Interrupted | Died | Stopped | BecameZombie


class Journal:
    """Hands each entry to its listeners at once. What a listener raises goes to the log, and to nobody else."""

    def __init__(self, log: Logger, *listeners: Callable[[Entry], None]) -> None:
        self._log = log
        self._listeners = list(listeners)

    def listen(self, listener: Callable[[Entry], None]) -> None:
        """Have `listener` called with each entry from now on, after those that listen already."""
        self._listeners.append(listener)

    def tell(self, entry: Entry) -> None:
        """Tell them all."""
        for listener in self._listeners:
            try:
                listener(entry)
            except Exception:
                self._log.exception("Nobody is told by %r of %r", listener, entry)
