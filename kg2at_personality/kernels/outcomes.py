"""How starts end, each in two words: an outcome and a reason, out of few that are known beforehand."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from .. import errors
from ..errors import KG2ATError

#: What those are told who can't be told more.
INTERNAL_ERROR = "The gateway ran into an error of its own. Its log says more; please tell the administrator."


class Outcome(NamedTuple):
    """`kind` is started, refused (nothing was begun), failed, cancelled (by its client) or stopped (by whoever)."""

    kind: str
    reason: str = ""


STARTED, CANCELLED, STOPPED = Outcome("started"), Outcome("cancelled"), Outcome("stopped")
DIED = Outcome("failed", "died")
INTERNAL = Outcome("failed", "internal")

#: An error that is not here is as the class that it is derived from.
OUTCOMES: dict[type[KG2ATError], Outcome] = {
    KG2ATError: INTERNAL,
    errors.StartEnded: STOPPED,
    errors.KernelDied: DIED,
    # What the client asked for.
    errors.RequestError: Outcome("refused", "bad_request"),
    errors.UnknownKernelSpec: Outcome("refused", "unknown_kernelspec"),
    errors.OutOfBounds: Outcome("refused", "out_of_bounds"),
    errors.KernelIdTaken: Outcome("refused", "id_taken"),
    errors.TooManyKernels: Outcome("refused", "too_many_kernels"),
    errors.AccessNotGranted: Outcome("refused", "not_allowed"),
    # What the cluster has.
    errors.NeverFits: Outcome("refused", "never_fits"),
    errors.Refused: Outcome("refused", "cluster_busy"),
    errors.QueueFull: Outcome("refused", "queue_full"),
    errors.ShareUsed: Outcome("refused", "share_used"),
    errors.GatewayEnds: Outcome("refused", "gateway_ends"),
    errors.MasterUnreachable: Outcome("refused", "master_unreachable"),
    # What the administrator has to mend.
    errors.ConfigError: Outcome("failed", "configuration"),
    errors.HubUnreachable: Outcome("failed", "hub_unreachable"),
    errors.LaunchFailed: Outcome("failed", "launch"),
    errors.NoFreePort: Outcome("failed", "no_room"),
    errors.NoRoom: Outcome("failed", "no_room"),
    errors.SeedFailed: Outcome("failed", "seed"),
    errors.KernelSilent: Outcome("failed", "silent"),
}
#: Every outcome that a start may have.
ALL = tuple(dict.fromkeys((STARTED, CANCELLED, *OUTCOMES.values())))


def outcome_of(error: BaseException) -> Outcome:
    """Return how a start ended that raised `error`."""
    if isinstance(error, asyncio.CancelledError):
        return CANCELLED
    known = (OUTCOMES[each] for each in type(error).__mro__ if each in OUTCOMES)
    return next(known, INTERNAL)


def told_of(error: BaseException) -> str:
    """Return what the client of a start that raised `error` is told; "" for one that is gone."""
    if isinstance(error, asyncio.CancelledError):
        return ""
    return str(error) if isinstance(error, KG2ATError) else INTERNAL_ERROR
