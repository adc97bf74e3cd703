"""All kernels of this gateway: starts them by a plan, within its limits, and stops them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, NoSuchKernel
from jupyter_server._tz import utcnow
from jupyter_server.prometheus.metrics import KERNEL_CURRENTLY_RUNNING_TOTAL
from kernel_gateway.services.kernels.manager import SeedingMappingKernelManager
from traitlets import Any as AnyTrait
from traitlets import Float, Instance, Int, default

from ..admission.queue import AdmissionRequest
from ..admission.refusals import closing
from ..admission.request import patience_of
from ..errors import KernelIdTaken, LaunchFailed, TooManyKernels, UnknownKernelSpec
from .environment import kernel_environment
from .kernel import GatewayKernel
from .specs import DEFAULT_KERNEL_NAME
from .toree import Plan, ToreeLauncher
from .zombies import Zombie, Zombies

#: How many ids of ended kernels are remembered, so that a late DELETE of one is no error.
REMEMBERED = 10_000


class GatewayKernelManager(SeedingMappingKernelManager):  # type: ignore[misc]
    """Kernel Gateway's manager with the environment as an argument and a limit that holds.

    `start_kernel` takes `env`: what the client sent and the administrator lets through, or None when it sent none.
    """

    launcher = Instance(ToreeLauncher)
    kernel_ports = AnyTrait(None, help="The PortRange for kernels' ZeroMQ ports; None: any free ones.")
    clusters = AnyTrait(None, help="The Clusters that admit kernels; None: every kernel starts at once.")
    shutdown_timeout = Float(30.0, help="Seconds that all kernels have to end when the gateway does.")
    max_kernel_log_size = Int(0, help="Bytes of output kept for each Toree; 0: all.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._is_closing = False
        #: Ids of kernels that are asked for, and the launches among them.
        self._starting: set[str] = set()
        self._starts: set[asyncio.Future[str]] = set()
        #: Ends under way, and the ids of kernels that have ended.
        self._stops: dict[str, asyncio.Future[None]] = {}
        self._ended: dict[str, None] = {}
        self.zombies = Zombies(self.release, self.log)
        self._launching: dict[str, GatewayKernel] = {}
        self._tasks: set[asyncio.Future[None]] = set()

    @default("launcher")
    def _launcher_default(self) -> ToreeLauncher:
        return ToreeLauncher()

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

        Raises UnknownKernelSpec, TooManyKernels, RequestError and ConfigError; none of them costs a process. Whoever
        cancels leaves no kernel behind.
        """
        if kwargs.get("kernel_id") in self:
            return str(await super().start_kernel(kernel_name=kernel_name, **kwargs))
        kernel_name = self.parent.force_kernel_name or kernel_name or self.default_kernel_name
        # As jupyter_client's KernelManager has it.
        kernel_name = NATIVE_KERNEL_NAME if kernel_name == "python" else kernel_name
        kernel_id = kwargs.pop("kernel_id", None) or self.new_kernel_id()
        with self._slot(kernel_id):
            passed = kernel_environment(os.environ, env, self.parent.env_process_whitelist, self.parent.auth_token)
            kwargs |= await self.launch_arguments(kernel_name, passed)
            await self.admit(kernel_id, kernel_name, passed, kwargs.get("plan"))
            self._refuse_when_closing()
            start = asyncio.ensure_future(self._start(kernel_id, kernel_name=kernel_name, env=passed, **kwargs))
            self._starts.add(start)
            start.add_done_callback(self._starts.discard)
            try:
                return await asyncio.shield(start)
            except asyncio.CancelledError:
                self.keep(self._take_back(start))
                raise

    @contextmanager
    def _slot(self, kernel_id: str) -> Iterator[None]:
        """Hold one place of `max_kernels`, and the id, until the kernel is listed or has failed."""
        self._refuse_when_closing()
        if kernel_id in self._starting:
            raise KernelIdTaken(f"Kernel {kernel_id} is being started already. Wait for it, or choose another id.")
        limit = self._max_kernels
        living = sum(not kernel.is_dead for kernel in self._kernels.values())
        if limit is not None and living + len(self._starting) >= limit:
            raise TooManyKernels(f"This gateway runs at most {limit} kernels (max_kernels). Shut one down first.")
        self._starting.add(kernel_id)
        try:
            yield
        finally:
            self._starting.discard(kernel_id)

    @property
    def _max_kernels(self) -> int | None:
        """The limit as the stock gateway takes it: from the web application once there is one."""
        app = self.parent
        limit: int | None = app.web_app.settings["kg_max_kernels"] if hasattr(app, "web_app") else app.max_kernels
        return limit

    def _refuse_when_closing(self) -> None:
        if self._is_closing:
            raise closing()

    async def _start(self, kernel_id: str, **kwargs: Any) -> str:
        try:
            await super().start_kernel(kernel_id=kernel_id, **kwargs)
        except OSError as error:
            await self._discard(kernel_id)
            raise LaunchFailed(f"The kernel could not be launched: {error}. Please tell the administrator.") from error
        except BaseException:
            await self._discard(kernel_id)
            raise
        self._launching.pop(kernel_id)
        self._kernels[kernel_id].watch_start()
        return kernel_id

    def pre_start_kernel(self, kernel_name: str | None, kwargs: Any) -> Any:
        """Called by jupyter_client before a launch; remembers the kernel, so that a failed launch can be undone."""
        kernel, name, kernel_id = super().pre_start_kernel(kernel_name, kwargs)
        self._launching[kernel_id] = kernel
        return kernel, name, kernel_id

    async def launch_arguments(self, kernel_name: str, env: Mapping[str, str]) -> dict[str, Any]:
        """What a launch needs beside its environment: the plan of a Toree, nothing for other kernels.

        Raises UnknownKernelSpec, RequestError and ConfigError.
        """
        try:
            spec = self.kernel_spec_manager.get_kernel_spec(kernel_name)
        except NoSuchKernel as error:
            names = ", ".join(sorted(self.kernel_spec_manager.find_kernel_specs()))
            raise UnknownKernelSpec(f"There is no kernelspec {kernel_name!r} here. There are: {names}.") from error
        about = spec.metadata.get("kg2at")
        if not about:
            return {}
        plan = await asyncio.to_thread(self.launcher.plan, about["interpreter"], about.get("profile", ""), env)
        return {"plan": plan}

    async def admit(self, kernel_id: str, kernel_name: str, env: Mapping[str, str], plan: Plan | None) -> None:
        """Wait until the cluster has the cores that `plan` asks for. Raises what AdmissionQueue.acquire raises.

        Called before each start; a restart keeps what its kernel was admitted with.
        """
        if plan is None or self.clusters is None or self.clusters.holds(kernel_id):
            return
        user = env.get("KERNEL_USERNAME", "")
        request = AdmissionRequest(kernel_id, kernel_name, user, plan.executors, patience_of(env))
        await self.clusters.acquire(request, plan.conf)

    def renew(self, kernel_id: str) -> None:
        """Keep the cores for the kernel's next process. Called when the last one is to end, and when it has ended."""
        if self.clusters is not None:
            self.clusters.renew(kernel_id)

    def release(self, kernel_id: str) -> None:
        """Give back the cores of a kernel that has ended."""
        if self.clusters is not None:
            self.clusters.release(kernel_id)

    async def _take_back(self, start: asyncio.Future[str]) -> None:
        """End the kernel of a start whose client is gone."""
        try:
            kernel_id = await start
        except Exception as error:
            self.log.info("A start that nobody waits for any more failed: %s", error)
            return
        self.log.warning("Shutting down kernel %s: nobody waits for it any more", kernel_id)
        await self.shutdown_kernel(kernel_id, now=True)

    async def _discard(self, kernel_id: str) -> None:
        """Undo a launch that failed at any point."""
        kernel = self._launching.pop(kernel_id, None)
        self._pending_kernels.pop(kernel_id, None)
        self._kernels.pop(kernel_id, None)
        self._kernel_connections.pop(kernel_id, None)
        if kernel is not None:
            await kernel.discard()
        self.release(kernel_id)

    def watch_again(self, kernel_id: str) -> None:
        """Follow a kernel whose ports have changed while it was started."""
        self.stop_watching_activity(kernel_id)
        self._kernel_ports[kernel_id] = self._kernels[kernel_id].ports
        self.start_watching_activity(kernel_id)

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

    # The end of kernels.

    async def shutdown_kernel(self, kernel_id: str, now: bool = False, restart: bool = False) -> None:
        """End a kernel. Whoever asks while that is under way waits for the same end; afterwards it is nothing.

        Returns when its processes are gone and the master has its cores back, or when it has become a zombie. Raises
        tornado's HTTPError 404 for an id that was never a kernel's. Cancelling it stops nothing.
        """
        if kernel_id not in self._stops:
            # An id may be used again, so what runs comes before what is remembered.
            if kernel_id not in self and kernel_id in self._ended:
                return
            self._check_kernel_id(kernel_id)
            self._stops[kernel_id] = asyncio.ensure_future(self._stop(kernel_id, now))
        await asyncio.shield(self._stops[kernel_id])

    async def _stop(self, kernel_id: str, now: bool) -> None:
        kernel = self._kernels[kernel_id]
        self.log.info("Kernel shutdown: %s", kernel_id)
        try:
            self.stop_watching_activity(kernel_id)
            self.stop_buffering(kernel_id)
            is_gone, reason = await kernel.end(now), "it outlives SIGKILL, or may not be signalled"
            if is_gone and self.clusters is not None:
                await self.clusters.gave_back(kernel_id)
        except Exception as error:
            self.log.exception("Shutting down kernel %s failed", kernel_id)
            is_gone, reason = not kernel.has_kernel, str(error)
        finally:
            self._forget(kernel_id)
        if is_gone:
            self.release(kernel_id)
        else:
            self.zombies.add(Zombie(kernel_id, kernel.kernel_name, kernel.pid, utcnow(), reason, kernel.is_gone))

    def _forget(self, kernel_id: str) -> None:
        """Take an ended kernel from all lists, and remember its id."""
        kernel = self._kernels.pop(kernel_id)
        KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type=kernel.kernel_name).dec()
        for by_id in (self._pending_kernels, self._kernel_connections, self._kernel_ports, self._stops):
            by_id.pop(kernel_id, None)
        self._ended[kernel_id] = None
        while len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]

    async def shutdown_all_kernels(self) -> None:
        """End every kernel, side by side, and start none any more; one that fails to end keeps no other from it.

        Those that have not ended after `shutdown_timeout` seconds are killed.
        """
        self._is_closing = True
        await asyncio.gather(*self._starts, *self._tasks, return_exceptions=True)
        stops = [asyncio.ensure_future(self.shutdown_kernel(kernel_id)) for kernel_id in self.list_kernel_ids()]
        if stops:
            await asyncio.wait(stops, timeout=self.shutdown_timeout)
        for kernel_id, kernel in list(self._kernels.items()):
            self.log.error("Kernel %s has not ended within %g s and is killed", kernel_id, self.shutdown_timeout)
            await kernel.is_gone()
        await asyncio.gather(*stops, return_exceptions=True)
        await self.zombies.close()
