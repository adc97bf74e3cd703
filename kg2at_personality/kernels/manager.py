"""All kernels of this gateway: starts them by a plan, within its limits, and stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

from jupyter_client.kernelspec import NATIVE_KERNEL_NAME
from jupyter_server._tz import utcnow
from jupyter_server.prometheus.metrics import KERNEL_CURRENTLY_RUNNING_TOTAL
from traitlets import Any as AnyTrait
from traitlets import Float, Int, default

from ..admission.messages import closing
from ..adoption import Adoption
from ..errors import KernelIdTaken, KG2ATError, StartEnded, TooManyKernels
from ..state.failpoints import point
from ..state.ledger import Ledger
from .activity import Activity
from .kernel import GatewayKernel
from .output_buffer import OutputBuffer
from .resource_limits import check_descriptors
from .seed import Seed
from .specs import DEFAULT_KERNEL_NAME
from .starts import SYSTEM_ERRORS, could_not_launch
from .stops import StoppingKernelManager

#: Descriptors that a launch takes: pipes, files, three ZeroMQ sockets with their connections.
LAUNCH = 16


class GatewayKernelManager(StoppingKernelManager):
    """Kernel Gateway's manager with the environment as an argument and a limit that holds.

    `start_kernel` takes `env`: what the client sent and the administrator lets through, or None when it sent none.
    """

    kernel_ports = AnyTrait(None, help="The PortRange for kernels' ZeroMQ ports; None: any free ones.")
    shutdown_timeout = Float(30.0, help="Seconds that all kernels have to end when the gateway does.")
    max_kernel_log_size = Int(0, help="Bytes of output kept for each kernel; 0: all.")
    max_buffered_output = Int(0, help="Bytes of output kept for a notebook that is not connected; 0: all.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._is_closing = False
        self._launching: dict[str, GatewayKernel] = {}
        self._tasks: set[asyncio.Future[None]] = set()
        #: Kernels in which the seed notebook runs.
        self._seeding: set[str] = set()

    @default("default_kernel_name")
    def _default_kernel_name_default(self) -> str:
        ours = DEFAULT_KERNEL_NAME if self.kernel_spec_manager.injected else NATIVE_KERNEL_NAME
        return self.seed_kernelspec or ours

    @default("kernel_info_timeout")
    def _kernel_info_timeout_default(self) -> float:
        # A Toree takes 10 s on an idle machine and a minute on a busy one.
        return 120.0

    def _kernel_manager_class_default(self) -> str:
        return f"{GatewayKernel.__module__}.{GatewayKernel.__qualname__}"

    async def start_kernel(
        self, *, kernel_name: str | None = None, env: Mapping[str, str] | None = None, **kwargs: Any
    ) -> str:
        """Start a kernel and return its id.

        Raises UnknownKernelSpec, TooManyKernels, RequestError and ConfigError; none of them costs a process, but
        SeedFailed and KernelDied where a seed notebook has to run. Whoever cancels leaves no kernel behind.
        """
        if kwargs.get("kernel_id") in self:
            return str(await super().start_kernel(kernel_name=kernel_name, **kwargs))
        kernel_name = self.parent.force_kernel_name or kernel_name or self.default_kernel_name
        # As jupyter_client's KernelManager has it.
        kernel_name = NATIVE_KERNEL_NAME if kernel_name == "python" else kernel_name
        kernel_id = kwargs.pop("kernel_id", None) or self.new_kernel_id()
        self._refuse(kernel_id)
        start = asyncio.create_task(self._admit_and_start(kernel_id, kernel_name, env, **kwargs))
        self._starts[kernel_id] = start
        start.add_done_callback(lambda _: self._starts.pop(kernel_id))
        try:
            await asyncio.shield(start)
        except asyncio.CancelledError:
            if not start.cancelled():
                self.keep(self._take_back(kernel_id, start))
                raise
        if start.cancelled() or kernel_id in self._stops:
            raise StartEnded("The kernel was shut down while it was being started.")
        await self._run_seed(kernel_id)
        return str(kernel_id)

    @cached_property
    def seed(self) -> Seed | None:
        """The seed notebook; None when there is none."""
        notebook = self.parent.seed_notebook
        if notebook is None:
            return None
        cells = [cell["source"] for cell in notebook.cells if cell["cell_type"] == "code"]
        return Seed(self.parent.seed_uri, self.seed_kernelspec, cells)

    @property
    def seed_source(self) -> None:
        """Asked for by Kernel Gateway, which has no cells to run: kg2at does."""

    async def _run_seed(self, kernel_id: str) -> None:
        """Run the seed notebook in a new kernel that is for it, and end the kernel if that fails."""
        kernel = self._kernels.get(kernel_id)
        if self.seed is None or kernel is None or kernel.kernel_name != self.seed.kernel_name:
            return
        self._seeding.add(kernel_id)
        try:
            self._refuse_when_closing()
            await self.seed.run(kernel)
        except KG2ATError:
            await self.shutdown_kernel(kernel_id, now=True)
            raise
        except BaseException:
            self.keep(self.shutdown_kernel(kernel_id, now=True))
            raise
        finally:
            self._seeding.discard(kernel_id)

    def _refuse(self, kernel_id: str) -> None:
        """Raise what refuses a kernel before anything is done for it: each start has an id, and a place, of its own."""
        self._refuse_when_closing()
        if kernel_id in self._starts:
            raise KernelIdTaken(f"Kernel {kernel_id} is being started already. Wait for it, or choose another id.")
        if kernel_id in self.zombies:
            raise KernelIdTaken(f"Processes of an earlier kernel {kernel_id} can't be ended. Choose another id.")
        limit = self._max_kernels
        living = sum(not kernel.is_dead for kernel in self._kernels.values())
        if limit is not None and living + len(self._starts.keys() - self._kernels.keys()) >= limit:
            raise TooManyKernels(f"This gateway runs at most {limit} kernels (max_kernels). Shut one down first.")

    @property
    def _max_kernels(self) -> int | None:
        """The limit as the stock gateway takes it: from the web application once there is one."""
        app = self.parent
        limit: int | None = app.web_app.settings["kg_max_kernels"] if hasattr(app, "web_app") else app.max_kernels
        return limit

    def _refuse_when_closing(self) -> None:
        if self._is_closing:
            raise closing()

    async def _admit_and_start(
        self, kernel_id: str, kernel_name: str, requested: Mapping[str, str] | None, **kwargs: Any
    ) -> str:
        """The task of one start. Cancelling it ends it before the launch; a launch goes on to its end."""
        env = self.environment(kernel_id, requested)
        kwargs |= await self.launch_arguments(kernel_name, env)
        admission = await self.admit(kernel_id, kernel_name, env, kwargs.get("plan"))
        point("start: admitted")
        launch = asyncio.ensure_future(
            self._start(kernel_id, kernel_name=kernel_name, env=env, **kwargs, about=(requested, admission))
        )
        self._launches[kernel_id] = launch
        launch.add_done_callback(lambda _: self._launches.pop(kernel_id))
        while not launch.done():
            # Whoever cancels now ends the kernel when it has started.
            with suppress(asyncio.CancelledError):
                await asyncio.shield(launch)
        return launch.result()

    async def _start(self, kernel_id: str, **kwargs: Any) -> str:
        try:
            self._refuse_when_closing()
            check_descriptors(LAUNCH)
            # Without the process id of the gateway, at whose end an ipykernel would end itself.
            await super().start_kernel(kernel_id=kernel_id, independent=True, **kwargs)
        except SYSTEM_ERRORS as error:
            await self._discard(kernel_id)
            raise could_not_launch(error) from error
        except BaseException:
            await self._discard(kernel_id)
            raise
        self._launching.pop(kernel_id)
        self._kernels[kernel_id].watch_start()
        point("start: done")
        return kernel_id

    def pre_start_kernel(self, kernel_name: str | None, kwargs: Any) -> Any:
        """Called by jupyter_client before a launch; remembers the kernel, so that a failed launch can be undone."""
        requested, admission = kwargs.pop("about", (None, None))
        kernel, name, kernel_id = super().pre_start_kernel(kernel_name, kwargs)
        kernel.kernel_id, kernel.requested, kernel.admission = kernel_id, requested, admission
        self._launching[kernel_id] = kernel
        return kernel, name, kernel_id

    async def _add_kernel_when_ready(
        self, kernel_id: str, km: GatewayKernel, kernel_awaitable: Awaitable[None]
    ) -> None:
        """Called by jupyter_client, which would log a traceback of what its start_kernel raises all the same."""
        try:
            await kernel_awaitable
        except Exception as error:
            self.log.debug("Kernel %s did not start: %s", kernel_id, error)
            return
        self._kernels[kernel_id] = km
        self._pending_kernels.pop(kernel_id, None)

    async def _take_back(self, kernel_id: str, start: asyncio.Task[str]) -> None:
        """End a start whose client is gone, or the kernel that came of it."""
        start.cancel()
        await asyncio.wait([start])
        if kernel_id in self:
            self.log.warning("Shutting down kernel %s: nobody waits for it any more", kernel_id)
            await self.shutdown_kernel(kernel_id, now=True)

    async def _discard(self, kernel_id: str) -> None:
        """Undo a launch that failed at any point."""
        kernel = self._launching.pop(kernel_id, None)
        self._pending_kernels.pop(kernel_id, None)
        self._kernels.pop(kernel_id, None)
        self._kernel_connections.pop(kernel_id, None)
        if kernel is None or await kernel.discard():
            self.forget(kernel_id)
        else:
            self._add_zombie(kernel, "its start failed, and it may not be signalled")

    def watch_again(self, kernel_id: str) -> None:
        """Follow a kernel whose ports have changed while it was started."""
        self.stop_watching_activity(kernel_id)
        self.stop_buffering(kernel_id)  # it listens where nobody is any more
        self._kernel_ports[kernel_id] = self._kernels[kernel_id].ports
        self.start_watching_activity(kernel_id)

    def start_watching_activity(self, kernel_id: str) -> None:
        """Called when a kernel starts, and when its ports have changed."""
        super().start_watching_activity(kernel_id)
        Activity(self, self._kernels[kernel_id])

    def start_buffering(self, kernel_id: str, session_key: str, channels: Mapping[str, Any]) -> None:
        """Called when a kernel's last notebook goes: keep what the kernel says for it, within the bound."""
        super().start_buffering(kernel_id, session_key, channels)
        if kernel_id in self._kernel_buffers:
            self._kernel_buffers[kernel_id]["buffer"] = OutputBuffer(self.max_buffered_output)

    def _handle_kernel_died(self, kernel_id: str) -> None:
        """Called when a kernel died once too often. It stays listed, with its reason, until somebody deletes it."""
        kernel = self._kernels.get(kernel_id)
        if kernel is not None and not kernel.is_dead:
            self.keep(kernel.bury("The kernel died again and again, and is not restarted any more."))

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in a task of this manager's own."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # All of them.

    async def shutdown_all_kernels(self) -> None:
        """End every kernel, side by side, and start none any more; one that fails to end keeps no other from it.

        Those that have not ended after `shutdown_timeout` seconds are killed.
        """
        self._is_closing = True
        await asyncio.gather(*self._starts.values(), *self._tasks, return_exceptions=True)
        stops = [asyncio.ensure_future(self.shutdown_kernel(kernel_id)) for kernel_id in self.list_kernel_ids()]
        if stops:
            await asyncio.wait(stops, timeout=self.shutdown_timeout)
        for kernel_id, kernel in list(self._kernels.items()):
            self.log.error("Kernel %s has not ended within %g s and is killed", kernel_id, self.shutdown_timeout)
            await kernel.is_gone()
        await asyncio.gather(*stops, return_exceptions=True)
        await self._close()

    async def leave_all_kernels(self) -> None:
        """Start none any more, and leave those that run to the next gateway. What is under way comes to its end."""
        self._is_closing = True
        await asyncio.gather(*self._starts.values(), *self._tasks, *self._stops.values(), return_exceptions=True)
        await asyncio.gather(*(self.shutdown_kernel(kernel_id, now=True) for kernel_id in self._seeding))
        for kernel in self._kernels.values():
            await kernel.let_go()
        await self._close()

    async def _close(self) -> None:
        await self.zombies.close()
        if self.ledger is not None:
            self.ledger.close()

    # Kernels of a gateway that is gone.

    async def begin(self, ledger: Ledger) -> None:
        """Write kernels down in `ledger` from now on, and go on with those that stand there. Called once, first.

        Raises StateDirInUse. A directory that can't be used is told in the log, and refuses new kernels until it can.
        """
        try:
            await asyncio.to_thread(ledger.open)
            self.ledger = ledger
            if not ledger.is_new:
                await Adoption(self, ledger).run()
        except OSError as error:
            self.ledger = ledger
            self.log.error("New kernels are refused, as the state directory %s can't be used: %s", ledger.path, error)

    def kernel_of(self, kernel_id: str, kernel_name: str, connection_file: str) -> GatewayKernel:
        """A kernel that is not listed yet, made as jupyter_client does (MultiKernelManager.pre_start_kernel)."""
        kernel: GatewayKernel = self.kernel_manager_factory(
            parent=self,
            log=self.log,
            connection_file=connection_file,
            kernel_name=kernel_name,
            kernel_spec_manager=self.kernel_spec_manager,
        )
        kernel.kernel_id = kernel_id
        return kernel

    async def enlist(self, kernel: GatewayKernel) -> None:
        """List a kernel that was taken over, as one that was started here."""
        kernel_id = kernel.kernel_id
        self._kernels[kernel_id] = kernel
        self._kernel_connections[kernel_id] = 0
        KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type=kernel.kernel_name).inc()
        if kernel.admission is not None and self.clusters is not None:
            request, urls = kernel.admission.request, kernel.admission.urls
            age = (utcnow() - kernel.since).total_seconds()
            self.clusters.adopt(request, urls, restarted=kernel.launches > 1, age=age)
        await self._finish_kernel_start(kernel_id)
        self.initialize_culler()
