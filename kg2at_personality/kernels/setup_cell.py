"""The silent cell that prepares a new process before anybody's code runs in it; the interrupt that comes meanwhile."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import Any

from .client import Conversation, KernelClient, silent
from .interfaces import Kernel


class SetupCell:
    """Belongs to one kernel. The kernel is ready while the cell runs: what notebooks send waits behind it.

    A process that is interrupted before it has run the cell would do something else, so the interrupt waits.
    """

    def __init__(self, kernel: Kernel, client: KernelClient) -> None:
        self._kernel, self._client = kernel, client
        #: Whether the process that runs now is through with it, or does without.
        self.has_ended = False
        self._is_interrupted = False

    def reset(self, has_ended: bool = False) -> None:
        """Called before each launch, and when a process is taken over."""
        self.has_ended, self._is_interrupted = has_ended, False

    def keeps_interrupt(self) -> bool:
        """Keep an interrupt if it comes too early; it is given as soon as it can be. Return whether that was done."""
        if not self.has_ended:
            self._is_interrupted = True
        return not self.has_ended

    def send(self, conversation: Conversation) -> asyncio.Future[list[Any]] | None:
        """Send the cell, before anybody else's. Return the future of its reply; None when there is no cell."""
        code = self._kernel.kind.setup_code()
        self.reset(has_ended=not code)
        return conversation.ask("execute_request", silent(code)) if code else None

    async def end(self, reply: asyncio.Future[list[Any]] | None) -> None:
        """Wait until the process is through with the cell, then give an interrupt that was kept.

        A process that refuses it, or takes too long, goes on without; the log tells.
        """
        if reply is None:
            return
        await self._log_failure(reply)
        if self._is_interrupted:
            # The interrupt is for a cell that waits behind this one: that begins first.
            await asyncio.sleep(self._kernel.parent.timing.start_poll)
            self.has_ended = True
            with suppress(OSError):  # it is gone
                await self._kernel.provisioner.send_signal(signal.SIGINT)
        self.has_ended = True

    async def _log_failure(self, reply: asyncio.Future[list[Any]]) -> None:
        kernel = self._kernel
        outcome = self._client.outcome(reply)
        # Its death is told elsewhere.
        if problem := await self._client.cell_problem(outcome, kernel.parent.timing.interrupt_limit):
            kernel.log.warning("Kernel %s may not heed interrupts, it did not learn how: %s", kernel.kernel_id, problem)
