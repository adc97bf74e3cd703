"""One kernel: what it is to the gateway, its restart and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from jupyter_client import AsyncKernelManager
from jupyter_client.ioloop import AsyncIOLoopKernelRestarter
from traitlets import default

from ..errors import KernelDied, KG2ATError, LaunchFailed, NoRoom
from ..state.failpoints import point
from ..state.record import RESTARTING, Admission
from ..system.process_group import kill_group
from ..system.processes import is_group_of
from .starts import SYSTEM_ERRORS, could_not_launch
from .startup import WatchedKernel
from .strays import end_strays

#: Seconds between two looks at a kernel that was asked to end; jupyter_client's 0.1 is half of a Toree's end.
END_POLL = 0.02
#: How jupyter_client's provisioner tells of a signal that was refused, or that found no process.
REFUSALS = (OSError, ValueError)


class Restarter(AsyncIOLoopKernelRestarter):
    """Restarts a kernel that died after it had answered. One that never did would only die again."""

    async def poll(self) -> None:  # type: ignore[override]
        """Called every `time_to_dead` seconds."""
        kernel = self.kernel_manager
        if not kernel.has_answered or kernel.shutting_down:
            return
        try:
            await super().poll()
        except KG2ATError as error:
            await kernel.bury(f"The kernel died, and can't be restarted: {error}")


class GatewayKernel(WatchedKernel):
    """One kernel of the gateway: how it restarts, and how it ends."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._is_ended = False
        #: What a restart waits for before it touches anything: its plan, and cores.
        self._supplies: asyncio.Future[tuple[dict[str, Any], Admission | None]] | None = None

    @default("restarter_class")
    def _restarter_class_default(self) -> type[AsyncIOLoopKernelRestarter]:
        return Restarter

    @property
    def user(self) -> str:
        """Whose kernel it is, as the client told; "" when it did not."""
        return str((self._launch_args or {}).get("env", {}).get("KERNEL_USERNAME", ""))

    @property
    def traceback_replacement_message(self) -> str:
        """The manager's, which jupyter_server looks for here (ZMQChannelsWebsocketConnection._on_error)."""
        return str(self.parent.traceback_replacement_message)

    @property
    def is_sql(self) -> bool:
        """Whether its notebooks hold SQL."""
        return self.is_toree and self.provisioner.interpreter == "SQL"

    def without_secrets(self, text: str) -> str:
        """`text` without the secrets of the kernel's configuration."""
        plan = self.provisioner.plan if self.is_toree else None
        return plan.conf.redactor().text(text) if plan is not None else text

    async def bury(self, reason: str) -> None:
        """Mark the kernel dead for `reason`, give back what its process held, and tell those who wait."""
        self.execution_state, self.reason = "dead", reason
        self.log.error("Kernel %s: %s", self.kernel_id, reason)
        self.stop_restarter()
        try:
            if self.has_kernel:
                await self.provisioner.wait()
                await self._end_rest()
            await self.cleanup_resources()
            self.parent.forget(self.kernel_id)
        finally:
            self._set_answer(KernelDied(reason))
        if self._restarter is not None:
            # Tells the open websockets.
            self._restarter._fire_callbacks("dead")

    async def discard(self) -> bool:
        """End whatever a failed launch left behind; True when nothing is."""
        self._end_watch()
        self._tell_of_end()
        self.stop_restarter()
        if self.has_kernel:
            await self._async_kill_kernel()
        if self.provisioner is not None:
            # LocalProvisioner.cleanup gives back the ports that stand there.
            self.provisioner.connection_info = self.get_connection_info()
        await self.cleanup_resources()
        return await self.is_gone()

    # Its end.

    async def end(self, now: bool = False) -> bool:
        """Shut down for good, after a restart that is under way. True when its processes are seen to be gone.

        Called once, by the manager; what refuses to be signalled raises nothing.
        """
        self._is_ended = True
        if self._supplies is not None:
            self._supplies.cancel()
        async with self._lifecycle:
            had_process = self.has_kernel
            await self._async_shutdown_kernel(now=now)
            return not had_process or await self.is_gone()

    async def is_gone(self) -> bool:
        """End what is left of the kernel's processes; True when nothing is."""
        if self.has_kernel and await self.is_alive():
            await self._async_kill_kernel()
        if self.has_kernel and await self.is_alive():
            return False
        return await self._end_rest()

    async def _end_rest(self) -> bool:
        """End what the kernel's process left behind, wherever it went; right after its death."""
        is_gone = await self._kill_group()
        return await end_strays(partial(self.parent.processes_of, self.kernel_id), self.log) and is_gone

    async def _kill_group(self) -> bool:
        """End what the kernel's process left behind in its group; right after its death."""
        group = self._adopted_group
        if group is not None and not await asyncio.to_thread(is_group_of, group, self.kernel_id):
            # Nobody kept its number for us: init has reaped it.
            return True
        return await kill_group(self.group, self.log)

    async def _async_shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:
        self._end_watch()
        self.shutting_down = True
        if not restart:
            self._tell_of_end()
        else:
            # From now on, so that nobody gets its cores while the old process ends.
            self.parent.renew(self.kernel_id)
        await AsyncKernelManager._async_shutdown_kernel.__wrapped__(  # type: ignore[attr-defined]
            self, now=now, restart=restart
        )
        if restart:
            # And once more, for what the old process did at the master until its end is none of the new one's.
            self.parent.renew(self.kernel_id)

    shutdown_kernel: Callable[..., Any] = _async_shutdown_kernel

    async def _async_request_shutdown(self, restart: bool = False) -> None:
        with suppress(NoRoom):  # a signal ends it as well, and makes room
            await super()._async_request_shutdown(restart=restart)
        point("restart: asked" if restart else "stop: asked")

    async def _async_finish_shutdown(
        self, waittime: float | None = None, pollinterval: float = END_POLL, restart: bool = False
    ) -> None:
        await super()._async_finish_shutdown(waittime, pollinterval, restart)
        point("restart: ended" if restart else "stop: ended")

    # While it is shut down, a signal that the system refuses (EPERM, EDC5139I) or that comes too late stops nothing.

    async def _async_interrupt_kernel(self) -> None:
        with suppress(*(REFUSALS if self.shutting_down else ())):
            await super()._async_interrupt_kernel()

    interrupt_kernel: Callable[..., Any] = _async_interrupt_kernel

    async def _async_send_kernel_sigterm(self, restart: bool = False) -> None:
        with suppress(*REFUSALS):
            await super()._async_send_kernel_sigterm(restart=restart)

    async def _async_kill_kernel(self, restart: bool = False) -> None:
        with suppress(*REFUSALS):
            await super()._async_kill_kernel(restart=restart)

    async def _async_restart_kernel(self, now: bool = False, newports: bool = False, **kw: Any) -> None:
        """Restart by a plan made from the files as they are now; ports and connection file stay."""
        async with self._lifecycle:
            if self._is_ended:
                raise KernelDied("The kernel has been shut down.")
            await self._restart(now, **kw)

    async def _restart(self, now: bool, **kw: Any) -> None:
        self._supplies = asyncio.ensure_future(self._get_supplies())
        try:
            plan, admission = await self._supplies
        except asyncio.CancelledError:
            if self._is_ended:
                raise KernelDied("The kernel has been shut down.") from None
            raise
        finally:
            self._supplies = None
        self.admission = admission or self.admission
        try:
            self.note(RESTARTING)
        except OSError as error:
            if admission is not None:
                self.parent.release(self.kernel_id)
            raise LaunchFailed(f"The kernel goes on as it is, as no record can be written: {error}.") from error
        point("restart: recorded")
        try:
            await super()._async_restart_kernel(now=now, newports=False, **kw | plan)
        except Exception as error:
            await self.bury(f"The kernel could not be restarted: {error}")
            if isinstance(error, SYSTEM_ERRORS):
                raise could_not_launch(error, "restarted") from error
            raise
        self.watch_start()

    restart_kernel: Callable[..., Any] = _async_restart_kernel

    async def _get_supplies(self) -> tuple[dict[str, Any], Admission | None]:
        """The plan of the next process, and what it was admitted with if it had to be admitted again."""
        env = self._launch_args["env"]
        plan = await self.parent.launch_arguments(self.kernel_name, env)
        return plan, await self.parent.admit(self.kernel_id, self.kernel_name, env, plan.get("plan"))

    async def let_go(self) -> None:
        """Leave process and files to the next gateway, after a restart that is under way."""
        async with self._lifecycle:
            self._is_ended = True
            self._end_watch()
            self._tell_of_end()
            self.stop_restarter()
            # KernelManager removes the file when Python ends.
            self._connection_file_written = False
