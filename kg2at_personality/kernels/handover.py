"""A kernel that waited becomes a user's: step by step, each written down before it is done."""

from __future__ import annotations

from logging import Logger
from typing import Any, Protocol

from ..state.failpoints import Failpoints
from ..state.record import RUNNING, STARTING
from .kernel import GatewayKernel
from .launch.plan import HandOutFailed
from .start import Start
from .stops import Stops
from .waiting_kernel import WaitingKernel


class HandoverHost(Protocol):
    """A manager, as the hand-outs of its kernels see it."""

    failpoints: Failpoints
    log: Logger

    def launch_args(self, kernel_id: str, env: dict[str, str], cwd: str | None) -> dict[str, Any]: ...
    def cwd_of(self, arguments: dict[str, Any]) -> str | None: ...
    def unlist(self, kernel_id: str) -> None: ...
    async def enlist(self, kernel: GatewayKernel) -> None: ...


async def hand_over(host: HandoverHost, stops: Stops, start: Start, waiting: WaitingKernel) -> bool:
    """Make `waiting`, which nobody else has any more, the kernel of `start`. Return whether it is.

    If not, it is ended, for it may hold what is its user's; `start.warm_reason` says why.
    """
    try:
        await _hand_over(host, start, waiting)
    except Exception as error:
        said = str(error) or type(error).__name__
        start.warm_reason = f"the kernel that waited could not be handed out: {said}"
        host.log.warning("Kernel %s could not be handed out, and is ended: %s", start.kernel_id, said)
        await stops.end(waiting.kernel, now=True)
        host.unlist(start.kernel_id)
        return False
    return True


async def _hand_over(host: HandoverHost, start: Start, waiting: WaitingKernel) -> None:
    """Raises HandOutFailed, and whatever a launch raises."""
    if start.plan is None:
        raise HandOutFailed("it has no plan")
    cwd = host.cwd_of(start.arguments)
    await waiting.stop_warming()
    kernel = waiting.become(start.kernel_name, host.launch_args(start.kernel_id, start.env, cwd))
    start.equip(kernel)
    # From now on the next gateway takes it for its user's, of whom nobody knows it yet.
    kernel.recorder.write(STARTING)
    host.failpoints.reached("hand-out: recorded")
    await kernel.kind.hand_out(kernel.own_client, start.plan, start.env, cwd)
    host.failpoints.reached("hand-out: given")
    kernel.recorder.write(RUNNING)
    host.failpoints.reached("hand-out: written")
    kernel.start_restarter()
    await host.enlist(kernel)
    kernel.startup.hear()
