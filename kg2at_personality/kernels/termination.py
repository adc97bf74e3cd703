"""The end of a kernel: one ladder, whoever wants it.

1. `shut_down`: jupyter_client's own `shutdown_kernel` - interrupt, shutdown_request, SIGTERM, SIGKILL, and a wait after
   each - as GatewayKernel overrides it. What refuses a signal stops none of the steps.
2. `kill`: SIGKILL for the process if it lives on, for its process group, and for what left that group; until nothing is
   left, or until the system refuses. What lives on then is a zombie (zombies.py), which is killed again and again.

`discard` ends what a launch that failed has left, by step 2 alone. `mark_dead` is for a process that ended by itself:
its kernel stays listed, with the reason. `detach` ends nothing: it leaves the kernel to the next gateway. A question
(`is_alive`, `has_kernel`, `is_dead`) ends nothing either.
"""

from __future__ import annotations

import asyncio
from functools import partial

from ..errors import KernelDied
from ..system.process_group import kill_group
from .interfaces import Kernel
from .kernel_processes import is_group_of, kill_all
from .restart import Restart
from .startup import Startup


class Termination:
    """Ends one kernel, or leaves it to the next gateway."""

    def __init__(self, kernel: Kernel, startup: Startup, restart: Restart) -> None:
        self._kernel, self._startup, self._restart = kernel, startup, restart

    async def shut_down(self, now: bool = False) -> bool:
        """Shut down for good, after a restart that is under way. Return whether its processes are seen to be gone.

        Called once, by the manager. A signal that is refused raises nothing.
        """
        kernel = self._kernel
        self._restart.close()
        async with kernel.lifecycle:
            had_process = kernel.has_kernel
            await kernel.shutdown_kernel(now=now)
            return not had_process or await self.kill()

    async def kill(self) -> bool:
        """Kill what is left of the kernel's processes. Return whether nothing is left. May be called again."""
        kernel = self._kernel
        if kernel.has_kernel and await kernel.is_alive():
            await kernel.kill_process()
        if kernel.has_kernel and await kernel.is_alive():
            return False
        return await self._kill_descendants()

    async def discard(self) -> bool:
        """Kill what a failed launch left behind, and give back what it took. Return whether nothing is left."""
        kernel = self._kernel
        self._startup.stop_watching()
        self._startup.fail_if_waiting()
        kernel.stop_restarter()
        if kernel.has_kernel:
            await kernel.kill_process()
        if kernel.provisioner is not None:
            # LocalProvisioner.cleanup gives back the ports that stand there.
            kernel.provisioner.connection_info = kernel.get_connection_info()
        await kernel.cleanup_resources()
        return await self.kill()

    async def mark_dead(self, reason: str) -> None:
        """Say that the kernel is dead, for `reason`; give back what its process held, and tell those who wait."""
        kernel = self._kernel
        # Who starts those that wait tells what fails once.
        (kernel.log.debug if kernel.waits else kernel.log.error)("Kernel %s: %s", kernel.kernel_id, reason)
        kernel.execution_state, kernel.reason = "dead", reason
        kernel.stop_restarter()
        kernel.parent.lives.died(kernel, reason)
        async with self._restart.death:
            try:
                await self._give_back()
            finally:
                self._startup.fail(KernelDied(reason))
        kernel.tell_of_death()

    async def _give_back(self) -> None:
        """Give back what the kernel's process held, which has ended by itself."""
        kernel = self._kernel
        if kernel.has_kernel:
            await kernel.provisioner.wait()
            await self._kill_descendants()
        await kernel.cleanup_resources()
        kernel.parent.supplies.forget(kernel.kernel_id)

    async def detach(self) -> None:
        """Leave process and files to the next gateway, after a restart that is under way."""
        kernel = self._kernel
        async with kernel.lifecycle:
            self._restart.close()
            self._startup.stop_watching()
            self._startup.fail_if_waiting()
            kernel.stop_restarter()
            kernel.keep_connection_file()

    async def _kill_descendants(self) -> bool:
        """Kill what the kernel's process left behind, wherever it went. Called right after the death of the process."""
        kernel = self._kernel
        is_group_gone = await self._kill_group()
        look = partial(kernel.parent.supplies.processes_of, kernel.kernel_id)
        return await kill_all(look, kernel.log, kernel.parent.timing.kill) and is_group_gone

    async def _kill_group(self) -> bool:
        """Kill what is left of the kernel's process group. Called right after the death of its process."""
        kernel = self._kernel
        adopted = kernel.adopted_group
        if adopted is not None and not await asyncio.to_thread(is_group_of, adopted, kernel.kernel_id):
            # Its number may be another group's: init has reaped the process, which no parent kept for us.
            return True
        return await kill_group(kernel.group, kernel.log, kernel.parent.timing.kill)
