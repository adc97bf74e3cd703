"""All kernels of this gateway: starts them by a plan, within its limits, and stops them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, NoSuchKernel
from kernel_gateway.services.kernels.manager import SeedingMappingKernelManager
from traitlets import Any as AnyTrait
from traitlets import Instance, Int, default

from ..admission.queue import AdmissionRequest
from ..admission.request import patience_of
from ..errors import KernelExists, LaunchFailed, ShuttingDown, TooManyKernels, UnknownKernelSpec
from .environment import kernel_environment
from .kernel import GatewayKernel
from .specs import DEFAULT_KERNEL_NAME
from .toree import Plan, ToreeLauncher


class GatewayKernelManager(SeedingMappingKernelManager):  # type: ignore[misc]
    """Kernel Gateway's manager with the environment as an argument and a limit that holds.

    `start_kernel` takes `env`: what the client sent and the administrator lets through, or None when it sent none.
    """

    launcher = Instance(ToreeLauncher)
    kernel_ports = AnyTrait(None, help="The PortRange for kernels' ZeroMQ ports; None: any free ones.")
    clusters = AnyTrait(None, help="The Clusters that admit kernels; None: every kernel starts at once.")
    max_kernel_log_size = Int(0, help="Bytes of output kept for each Toree; 0: all.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._is_closing = False
        #: Ids of kernels that are asked for, and the launches among them.
        self._starting: set[str] = set()
        self._starts: set[asyncio.Future[str]] = set()
        self._launching: dict[str, GatewayKernel] = {}
        self._tasks: set[asyncio.Future[None]] = set()

    @default("launcher")
    def _launcher_default(self) -> ToreeLauncher:
        return ToreeLauncher()

    @default("default_kernel_name")
    def _default_kernel_name_default(self) -> str:
        return DEFAULT_KERNEL_NAME if self.kernel_spec_manager.injected else NATIVE_KERNEL_NAME

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
            raise KernelExists(f"Kernel {kernel_id} is being started already. Wait for it, or choose another id.")
        limit = self.parent.max_kernels
        living = sum(not kernel.is_dead for kernel in self._kernels.values())
        if limit is not None and living + len(self._starting) >= limit:
            raise TooManyKernels(f"This gateway runs at most {limit} kernels (max_kernels). Shut one down first.")
        self._starting.add(kernel_id)
        try:
            yield
        finally:
            self._starting.discard(kernel_id)

    def _refuse_when_closing(self) -> None:
        if self._is_closing:
            raise ShuttingDown("The gateway is shutting down and starts no kernels any more.")

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
        if plan is None or self.clusters is None or self.clusters.renew(kernel_id):
            return
        user = env.get("KERNEL_USERNAME", "")
        request = AdmissionRequest(kernel_id, kernel_name, user, plan.executors, patience_of(env))
        await self.clusters.acquire(request, plan.conf)

    def release(self, kernel_id: str) -> None:
        """Give back the cores of a kernel that has ended."""
        if self.clusters is not None:
            self.clusters.release(kernel_id)

    def remove_kernel(self, kernel_id: str) -> Any:
        """Called when a kernel has been shut down: it leaves the list, and its cores are free."""
        self.release(kernel_id)
        return super().remove_kernel(kernel_id)

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

    async def shutdown_all_kernels(self) -> None:
        """End every kernel, side by side, and start none any more; one that fails to end keeps no other from it."""
        self._is_closing = True
        await asyncio.gather(*self._starts, *self._tasks, return_exceptions=True)
        ids = self.list_kernel_ids()
        results = await asyncio.gather(*map(self.shutdown_kernel, ids), return_exceptions=True)
        for kernel_id, result in zip(ids, results, strict=True):
            if isinstance(result, BaseException):
                self.log.error("Kernel %s did not shut down: %s", kernel_id, result)
