"""A kernel whose starts are watched: it answers, or it is known why not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jupyter_client import AsyncKernelManager
from jupyter_client.connect import port_names
from traitlets import Unicode

from ..errors import KernelDied, NoRoom
from ..spark.cluster import AppIdentity
from ..state.failpoints import point
from ..state.record import RESTARTING, STARTING, Admission, Record
from ..system.free_ports import is_free
from ..system.processes import UNKNOWN_STATUS, AdoptedProcess, own_user_of
from . import toree_interrupt
from .client import START_POLL, AskedKernel, silent
from .toree import Plan, application_name, sets_user

#: How often a kernel that answers is asked again until it is heard as well, and how often that is looked at each time.
HEARD_TRIES, HEARD_LOOKS = 25, 10
#: How often a kernel is started when others take its ports.
PORT_TRIES = 3


class WatchedKernel(AskedKernel):
    """Asks each new process until it answers, and says why it died when it does not."""

    execution_state = Unicode("starting", help="starting, idle, busy or dead, as clients see it.")
    reason = Unicode("", help="Why the kernel is dead.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._answer: asyncio.Future[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        #: Held by whatever starts or ends its process.
        self._lifecycle = asyncio.Lock()
        #: Which of its launches has run a cell of a notebook to its end.
        self._warm_launch = 0

    @property
    def has_answered(self) -> bool:
        """Whether the process that runs now has answered a request."""
        return self._answer is not None and self._answer.done() and not self._answer.exception()

    @property
    def is_dead(self) -> bool:
        """Whether the kernel died and nobody has restarted it."""
        return bool(self.execution_state == "dead")

    @property
    def is_warm(self) -> bool:
        """Whether the process that runs now has run a cell of a notebook to its end."""
        return self._warm_launch == self.launches

    def note_warm(self) -> None:
        """Called when it has."""
        self._warm_launch = self.launches

    async def answered(self) -> None:
        """Wait until the kernel has answered. Raises KernelDied when it dies first, or is shut down."""
        if self._answer is None:
            raise KernelDied("The kernel has not been started.")
        await asyncio.shield(self._answer)

    # Each start is watched.

    async def _async_start_kernel(self, **kw: Any) -> None:
        self._end_watch()
        self.execution_state, self.reason = "starting", ""
        self._forget_info()
        if self._answer is None or self._answer.done():
            self._answer = _unwatched_future()
        await self._start_process(**kw)

    async def _start_process(self, **kw: Any) -> None:
        """KernelManager's start without the 10 ms that its decorator sleeps for its own tests (in_pending_state)."""
        self._ready = _unwatched_future()
        try:
            self._name_applications(kw.get("plan"))
            self.note(RESTARTING if self.launches else STARTING)
            point("start: recorded")
            await AsyncKernelManager._async_start_kernel.__wrapped__(self, **kw)  # type: ignore[attr-defined]
            point("start: launched")
            self._note_process()
        except Exception as error:
            self._ready.set_exception(error)
            raise
        self._ready.set_result(None)

    start_kernel: Callable[..., Any] = _async_start_kernel

    def _name_applications(self, plan: Plan | None) -> None:
        """Each launch may call its applications otherwise: spark-defaults.conf is read afresh."""
        if plan is None or self.admission is None:
            return
        self._show_as(self.admission, AppIdentity(application_name(plan, self.kernel_id), None))

    def _show_as(self, admission: Admission, shown: AppIdentity) -> None:
        self.admission = replace(admission, request=replace(admission.request, application=shown))
        self.parent.rename(self.kernel_id, shown)

    async def _learn_user(self) -> None:
        """Know the user of its applications, too; spark-submit may have become another one than the gateway's.

        Called when it has answered, before it runs anybody's code. Until then, and where it can't be told, any user's
        count.
        """
        plan: Plan | None = self.provisioner.plan if self.is_toree else None
        shown = self.admission.request.application if self.admission is not None else None
        if plan is None or self.admission is None or shown is None or self.pid is None or sets_user(plan):
            return
        user = await asyncio.to_thread(own_user_of, self.pid)
        self._show_as(self.admission, replace(shown, user=user))

    def watch_start(self) -> None:
        """Begin to wait for the kernel's first answer. Called once after each start, when nothing resets its state."""
        if self._answer is not None:
            self._watch = asyncio.create_task(self._watch_start(self._answer))

    async def _watch_start(self, answer: asyncio.Future[None]) -> None:
        """Ask the new kernel for its info until it answers or dies."""
        # Whoever asked for the kernel gets an answer first; none is ready sooner.
        await asyncio.sleep(START_POLL)
        for _ in range(PORT_TRIES):
            if await self._answers(answer):
                return
            if self._has_its_ports():
                break
            try:
                await self._start_on_other_ports()
            except Exception as error:
                await self.bury(f"The kernel could not be started on other ports: {error}")
                return
        await self._died_at_start()

    async def _answers(self, answer: asyncio.Future[None]) -> bool:
        """Whether the process that runs now answers, as soon as there is a socket to ask it by."""
        while True:
            try:
                return await self._ask_for_info(answer)
            except NoRoom:
                await asyncio.sleep(START_POLL)

    async def _ask_for_info(self, answer: asyncio.Future[None]) -> bool:
        """Whether the process that runs now answers; False when it dies instead."""
        for _ in range(HEARD_TRIES):
            info = await self.reply("kernel_info_request")
            if info is None or await self._has_left("starting"):
                break
        if info is None or (self.is_toree and not await self._make_interruptible()):
            return False
        await self._learn_user()
        self._read_info(info)
        answer.set_result(None)
        if self.execution_state == "starting":
            self.execution_state = "idle"
        return True

    async def _has_left(self, state: str) -> bool:
        """Whether the manager's watch hears that the kernel leaves `state`.

        One that is not heard would be taken for idle when it is busy, and culled.
        """
        for _ in range(HEARD_LOOKS):
            if self.execution_state != state:
                return True
            await asyncio.sleep(START_POLL / HEARD_LOOKS)
        return False

    async def _make_interruptible(self) -> bool:
        """Give a new Toree its handler for interrupts; False when it dies instead. It goes on without if need be."""
        try:
            reply = await asyncio.wait_for(
                self.reply("execute_request", silent(toree_interrupt.CELL)), toree_interrupt.LIMIT
            )
            if reply is None:
                return False
            said = self.content(reply)
        except (asyncio.TimeoutError, ValueError) as error:
            said = {"ename": type(error).__name__, "evalue": error}
        if said.get("status") != "ok":
            problem = f"{said.get('ename')}: {said.get('evalue')}"
            self.log.warning("Kernel %s may not heed interrupts, it did not learn how: %s", self.kernel_id, problem)
        await self._has_left("busy")
        return True

    def _has_its_ports(self) -> bool:
        """Whether nobody else listens on the ports of the process that died: they were chosen before it took them."""
        return self.transport != "tcp" or all(is_free(self.ip, port) for port in self.ports)

    async def _start_on_other_ports(self) -> None:
        self.log.warning("Kernel %s starts again on other ports: someone else took one of them", self.kernel_id)
        async with self._lifecycle:
            await self.provisioner.wait()
            await self.cleanup_resources(restart=True)
            self._forget_ports()
            self.cleanup_connection_file()
            plan = await self.parent.launch_arguments(self.kernel_name, self._launch_args["env"])
            await self._start_process(**self._launch_args | plan)
        self.parent.watch_again(self.kernel_id)

    def _forget_ports(self) -> None:
        """Let the next start choose others. Those of the last one stay reserved: somebody else has them."""
        self.provisioner.ports_cached = False
        if self.is_toree:
            self.provisioner.give_back_ports()
        for name in port_names:
            setattr(self, name, 0)

    def _read_info(self, parts: list[Any]) -> None:
        try:
            self._remember_info(self.content(parts))
        except ValueError as error:
            self.log.warning("Kernel %s sent a malformed kernel_info_reply: %s", self.kernel_id, error)
            self._remember_info({})
        self.note_if_possible()

    async def _died_at_start(self) -> None:
        status: Any = await self.provisioner.poll()
        status = "unknown" if status == UNKNOWN_STATUS else status
        lines = await self.last_lines()
        said = f" Its last lines:\n{lines}" if lines else " It printed nothing."
        await self.bury(f"The kernel died before it answered (exit status {status}).{said}")

    async def bury(self, reason: str) -> None:
        """Called when the kernel is found dead, for `reason`."""
        raise NotImplementedError

    # Who waits for an answer.

    def _end_watch(self) -> None:
        """Who waits for an answer waits on: for the next process, or for `_set_answer`."""
        if self._watch is not None:
            self._watch.cancel()

    def _tell_of_end(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._set_answer(KernelDied("The kernel was shut down before it answered."))

    def _set_answer(self, error: KernelDied) -> None:
        """Tell those who wait, and who come later, that there is none."""
        if self._answer is None or self._answer.done():
            self._answer = _unwatched_future()
        self._answer.set_exception(error)

    # Taking over from a gateway that is gone.

    def take_over(self, record: Record, process: AdoptedProcess | None, launch: dict[str, Any]) -> None:
        """See RecordedKernel. A kernel that has answered is taken for busy until it is through with its cells."""
        super().take_over(record, process, launch)
        self._ready, self._answer = _unwatched_future(), _unwatched_future()
        self._ready.set_result(None)
        if record.info is not None:
            self._answer.set_result(None)
            self.execution_state = "busy"
        if process is not None:
            self.start_restarter()

    def follow(self) -> None:
        """Begin to watch a kernel that was taken over, and goes on; called once."""
        if not self.has_answered:
            self.watch_start()
        else:
            self._watch = asyncio.create_task(self._wait_for_its_cells())

    async def _wait_for_its_cells(self) -> None:
        """Send an empty cell, which a kernel answers after those before it, and take it for idle then."""
        states: list[str] = []

        def remember(change: Any) -> None:
            states.append(change["new"])

        self.observe(remember, "execution_state")
        try:
            with self.question("execute_request", silent("")) as reply:
                await reply
            # The manager's watch tells, unless it heard nothing yet of what the kernel does.
            await asyncio.sleep(START_POLL)
            if not states:
                self.execution_state = "idle"
        finally:
            self.unobserve(remember, "execution_state")


def _unwatched_future() -> asyncio.Future[None]:
    """A future whose exception nobody has to look at."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
