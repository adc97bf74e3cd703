"""The start-up of a kernel: each new process is watched until it answers, or it is known why it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..errors import KernelDied, NoRoom
from ..state.record import RESTARTING, STARTING
from ..system.free_ports import IN_USE, PORT_TRIES
from .application import learn_user, rename_application
from .client import Conversation, KernelClient, silent
from .console import Console
from .interfaces import Kernel
from .jupyter_kernel import unobserved_future
from .port_clash import has_its_ports, start_on_other_ports
from .record_keeper import RecordKeeper

#: How often a kernel that answers is asked again until its published states arrive as well.
STATE_TRIES = 100


class Startup:
    """Watches the start-up of a kernel's processes, one after the other."""

    def __init__(self, kernel: Kernel, client: KernelClient, console: Console, recorder: RecordKeeper) -> None:
        self._kernel, self._client, self._console, self._recorder = kernel, client, console, recorder
        #: The first answer of the process that runs, or of the next one; it has an exception when there is none.
        self._answer: asyncio.Future[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    # Its first answer.

    @property
    def has_answered(self) -> bool:
        """Return whether the process that runs now has answered a request."""
        return self._answer is not None and self._answer.done() and not self._answer.exception()

    async def answered(self) -> None:
        """Wait until the kernel has answered. Raises KernelDied when it dies first, or is shut down."""
        if self._answer is None:
            raise KernelDied("The kernel has not been started.")
        await asyncio.shield(self._answer)

    def call_when_answered(self, call: Callable[[asyncio.Future[None]], None]) -> None:
        """Have `call` called with the answer, or with the exception in its place. No-op before the first launch."""
        if self._answer is not None:
            self._answer.add_done_callback(call)

    def fail(self, error: KernelDied) -> None:
        """Raise `error` in those who wait for the answer, and in those who come later."""
        if self._answer is None or self._answer.done():
            self._answer = unobserved_future()
        self._answer.set_exception(error)

    def fail_if_waiting(self) -> None:
        """Called when the kernel is shut down: raise KernelDied in those who wait. No-op when it has answered."""
        if self._answer is not None and not self._answer.done():
            self.fail(KernelDied("The kernel was shut down before it answered."))

    # Its launch.

    def begin(self) -> None:
        """Called before each launch. Those who wait for an answer go on to wait for that of the next process."""
        self.stop_watching()
        kernel = self._kernel
        kernel.parent.follow_next_process(kernel.kernel_id)
        kernel.execution_state, kernel.reason, kernel.running_cell, kernel.header_session = "starting", "", "", ""
        kernel.forget_info()
        kernel.setup_cell.reset()
        if self._answer is None or self._answer.done():
            self._answer = unobserved_future()

    async def launch(self, **kwargs: Any) -> None:
        """Launch a process, with the record written before and after. Raises OSError and what a launch raises."""
        kernel = self._kernel
        rename_application(kernel)
        self._recorder.write(RESTARTING if kernel.launches else STARTING)
        kernel.parent.failpoints.reached("start: recorded")
        await kernel.launch_process(**kwargs)
        kernel.parent.failpoints.reached("start: launched")
        kernel.launches += 1
        kernel.adopted_group = None
        self._recorder.write_process()

    def watch(self) -> None:
        """Begin to wait for the first answer. Called once after each launch, when nothing resets the state any more."""
        if self._answer is not None:
            self._watch = asyncio.create_task(self._wait_for_answer(self._answer))

    async def finished(self) -> None:
        """Wait until the newest process is prepared for anybody's code, or dead. Called after `watch`."""
        if self._watch is not None:
            await asyncio.wait([self._watch])

    def hear(self) -> None:
        """Called when a process that waited is listed for its user: wait until what it publishes arrives.

        Until then it has not answered, as one that has just been launched; no cell may come before that.
        """
        self._kernel.execution_state = "starting"
        self._answer = unobserved_future()
        self.watch()

    def stop_watching(self) -> None:
        """Called when the process is to end. Those who wait for an answer go on to wait. Idempotent."""
        if self._watch is not None:
            self._watch.cancel()

    async def _wait_for_answer(self, answer: asyncio.Future[None]) -> None:
        """Ask the new process for its info until it answers or dies."""
        if not self._kernel.setup_cell.has_ended:
            # Whoever asked for the kernel gets an answer first; no kernel is ready sooner.
            await asyncio.sleep(self._kernel.parent.timing.start_poll)
        for _ in range(PORT_TRIES):
            if await self._answers(answer):
                return
            # Whoever had a port may have given it back already: then only what the process said tells.
            if has_its_ports(self._kernel) and IN_USE not in await self._console.last_lines():
                break
            try:
                await start_on_other_ports(self._kernel)
            except Exception as error:
                await self._kernel.mark_dead(f"The kernel could not be started on other ports: {error}")
                return
        await self._mark_dead()

    async def _answers(self, answer: asyncio.Future[None]) -> bool:
        """Wait for an answer, as soon as there is a socket to ask by. Return False when the process dies instead."""
        while True:
            try:
                return await self._ask_for_info(answer)
            except asyncio.TimeoutError:
                continue  # by another socket, so that an answer that comes late is nobody's
            except NoRoom:
                await asyncio.sleep(self._kernel.parent.timing.start_poll)

    async def _ask_for_info(self, answer: asyncio.Future[None]) -> bool:
        with self._client.conversation() as conversation:
            info = await self._info(conversation)
            if info is None:
                return False
            await learn_user(self._kernel)
            # By the socket that has just been answered, so that it is there before what anybody sends from now on.
            cell = self._kernel.setup_cell
            reply = None if cell.has_ended else cell.send(conversation)
            self._note_answer(answer, info)
            await cell.end(reply)
        if reply is not None:
            self._recorder.write_if_possible()
        return True

    async def _info(self, conversation: Conversation) -> list[Any] | None:
        """Return the parts of its kernel_info_reply; None when the process dies instead. Raises as `outcome` does."""
        limit = self._kernel.parent.timing.ask_again
        for _ in range(STATE_TRIES):
            info = await self._client.outcome(conversation.ask("kernel_info_request"), limit)
            # A kernel whose states do not arrive would be taken for idle when it is busy, and culled.
            if info is None or self._kernel.waits or await self._client.has_left("starting"):
                break
        return info

    def _note_answer(self, answer: asyncio.Future[None], info: list[Any]) -> None:
        self._read_info(info)
        self._console.note_answer()
        answer.set_result(None)
        if self._kernel.execution_state == "starting":
            self._kernel.execution_state = "idle"

    def _read_info(self, parts: list[Any]) -> None:
        kernel = self._kernel
        try:
            kernel.remember_info(self._client.content(parts))
        except ValueError as error:
            kernel.log.warning("Kernel %s sent a malformed kernel_info_reply: %s", kernel.kernel_id, error)
            kernel.remember_info({})
        self._recorder.write_if_possible()

    async def _mark_dead(self) -> None:
        await self._kernel.mark_dead(f"The kernel died before it answered {await self._console.ending()}")

    # A kernel of another gateway.

    def resume(self, has_answered: bool, is_set_up: bool) -> None:
        """Know whether a kernel that was taken over has answered already, and whether it has run its set-up cell."""
        self._answer = unobserved_future()
        self._kernel.setup_cell.reset(is_set_up)
        if has_answered:
            self._answer.set_result(None)

    def follow(self) -> None:
        """Watch a kernel that was taken over, and goes on. Called once."""
        if not self.has_answered:
            self.watch()
        else:
            self._watch = asyncio.create_task(self._wait_for_its_cells())

    async def _wait_for_its_cells(self) -> None:
        """Send an empty cell, which a kernel answers after those before it, and take it for idle then.

        The set-up cell comes first, if the last gateway may not have sent it. It can run twice.
        """
        kernel, states = self._kernel, list[str]()

        def remember(change: Any) -> None:
            states.append(change["new"])

        kernel.observe(remember, "execution_state")
        try:
            with self._client.conversation() as conversation:
                if not self._kernel.setup_cell.has_ended:
                    await self._kernel.setup_cell.end(self._kernel.setup_cell.send(conversation))
                    self._recorder.write_if_possible()
                await conversation.ask("execute_request", silent(""))
            # The manager follows its states, but may have got none so far.
            await asyncio.sleep(kernel.parent.timing.start_poll)
            if not states:
                kernel.execution_state = "idle"
        finally:
            kernel.unobserve(remember, "execution_state")
