"""What the log says of admissions: a line for each kernel that is admitted, waits or is refused."""

from __future__ import annotations

import logging
from typing import Any, TypeAlias

from ..errors import KG2ATError, MasterUnreachable
from .decisions import Waiter
from .messages import needs
from .request import AdmissionRequest

#: As text: Python 3.10 has no LoggerAdapter[...] to be evaluated.
Log: TypeAlias = "logging.Logger | logging.LoggerAdapter[Any]"


class AdmissionLog:
    """Writes to `log`."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def admitted(self, waiter: Waiter, waited: float, unchecked: MasterUnreachable | None) -> None:
        """The kernel has its lease after `waited` seconds; `unchecked` as in decisions.Admit, and worth a warning."""
        why = f", unchecked ({unchecked})" if unchecked else ""
        level = logging.WARNING if unchecked else logging.INFO
        self._log.log(level, "Admitted after %.3f s%s: %s", waited, why, _described(waiter))

    def adopted(self, request: AdmissionRequest) -> None:
        """A kernel that runs already has its lease."""
        self._log.info("Kernel %s of %r runs already and keeps its cores", request.kernel_id, request.user)

    def waits(self, waiter: Waiter, ahead: int) -> None:
        """The kernel has to wait behind so many."""
        self._log.info("Waits behind %d: %s", ahead, _described(waiter))

    def refused(self, request: AdmissionRequest, error: KG2ATError) -> None:
        """The kernel's client gets this error."""
        self._log.warning("Refused kernel %s of %r: %s: %s", request.kernel_id, request.user, error.reason, error)

    def abandoned(self, request: AdmissionRequest) -> None:
        """The client hung up while its kernel was admitted."""
        self._log.info("Kernel %s was admitted, but nobody waits for it any more", request.kernel_id)

    def failed(self) -> None:
        """Called in an exception's handler, when deciding failed."""
        self._log.exception("Judging the Spark master's answer failed; whoever waits goes on waiting")


def _described(waiter: Waiter) -> str:
    request = waiter.request
    return f"kernel {request.kernel_id} ({request.kernel_name!r} of {request.user!r}). {needs(waiter.executors)}"
