"""jupyter_server's manager of all kernels, with a public name for each of its private ones that kg2at needs.

It holds nothing of kg2at's own; all private names of jupyter_client's and jupyter_server's managers stand here, and in
the methods that GatewayKernelManager overrides. tests/test_library_contracts.py lists them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_client import KernelManager
from jupyter_server.prometheus.metrics import KERNEL_CURRENTLY_RUNNING_TOTAL
from traitlets import default, dlink

from ..errors import NoRoom
from .jupyter_kernel import unobserved
from .kernel import GatewayKernel
from .output_buffer import OutputBuffer
from .specs import SparkKernelSpecManager
from .supplies import GatewayOptions

if TYPE_CHECKING:
    # The base class of Kernel Gateway's, which has no types of its own.
    from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager as SeedingMappingKernelManager
else:
    from kernel_gateway.services.kernels.manager import SeedingMappingKernelManager


class GatewayApp(GatewayOptions, Protocol):
    """What the manager uses of KernelGatewayApp."""

    base_url: str
    force_kernel_name: str
    max_kernels: int | None
    seed_notebook: Any
    seed_uri: str


class JupyterKernelManager(SeedingMappingKernelManager):
    """Kernel Gateway's manager of all kernels."""

    parent: GatewayApp
    kernel_spec_manager: SparkKernelSpecManager
    #: The name of the seed notebook's kernelspec (SeedingMappingKernelManager).
    seed_kernelspec: str | None

    if TYPE_CHECKING:
        # What jupyter_server leaves untyped, or types as if it were not asynchronous.
        def initialize_culler(self) -> None: ...
        def cwd_for_path(self, path: str, **kwargs: Any) -> str: ...
        def kernel_model(self, kernel_id: str) -> dict[str, Any]: ...
        def notify_disconnect(self, kernel_id: str) -> None: ...
        def start_watching_activity(self, kernel_id: str) -> None: ...
        def stop_watching_activity(self, kernel_id: str) -> None: ...
        def start_buffering(self, kernel_id: str, session_key: str, channels: Mapping[str, Any]) -> None: ...
        def stop_buffering(self, kernel_id: str) -> None: ...
        def interrupt_kernel(self, kernel_id: str) -> Awaitable[None]: ...  # type: ignore[override]
        async def cull_kernel_if_idle(self, kernel_id: str) -> None: ...
        def _check_kernel_id(self, kernel_id: str) -> None: ...
        async def _finish_kernel_start(self, kernel_id: str) -> None: ...

    @default("default_kernel_name")
    def _default_kernel_name_default(self) -> str:
        """Return the seed notebook's kernel, else the first that is offered; it follows what is offered later."""
        if not self.seed_kernelspec:
            dlink((self.kernel_spec_manager, "default_name"), (self, "default_kernel_name"))
        return self.seed_kernelspec or self.kernel_spec_manager.default_name

    def get_kernel(self, kernel_id: str) -> GatewayKernel:
        """Return a kernel that is listed. Raises tornado's HTTPError 404, or KeyError."""
        kernel: Any = super().get_kernel(kernel_id)
        found: GatewayKernel = kernel
        return found

    def listed(self, kernel_id: str) -> GatewayKernel | None:
        """Return a kernel; None when it is not listed, where `get_kernel` raises."""
        kernel: GatewayKernel | None = self._kernels.get(kernel_id)
        return kernel

    def kernels(self) -> list[GatewayKernel]:
        """Return the kernels that are listed."""
        return list(self._kernels.values())

    def max_kernel_count(self) -> int | None:
        """Return the limit as the stock gateway takes it: from the web application once there is one."""
        app: Any = self.parent  # its web_app comes later
        limit: int | None = app.web_app.settings["kg_max_kernels"] if hasattr(app, "web_app") else app.max_kernels
        return limit

    # Lists.

    def make_kernel(self, kernel_id: str, kernel_name: str, connection_file: str) -> GatewayKernel:
        """Return a kernel that is not listed yet, made as jupyter_client does (MultiKernelManager.pre_start_kernel)."""
        kernel: GatewayKernel = self.kernel_manager_factory(
            parent=self,
            log=self.log,
            connection_file=connection_file,
            kernel_name=kernel_name,
            kernel_spec_manager=self.kernel_spec_manager,
        )
        kernel.kernel_id = kernel_id
        return kernel

    def launch_args(self, kernel_id: str, env: dict[str, str], cwd: str | None) -> dict[str, Any]:
        """Return the arguments with which jupyter_client would start the kernel (KernelManager.start_kernel).

        Independent: without the process id of the gateway, at whose end an ipykernel would end itself.
        """
        directory = {} if cwd is None else {"cwd": cwd}
        return dict(self._kernel_start_kwargs(kernel_id=kernel_id, env=env, independent=True, **directory))

    def cwd_of(self, arguments: Mapping[str, Any]) -> str | None:
        """Return the directory of a start with these arguments of `start_kernel`; None: the gateway's own."""
        path = arguments.get("path")
        return None if path is None else self.cwd_for_path(path)

    async def start_as_jupyter(self, kernel_id: str, kernel_name: str, env: dict[str, str], **kwargs: Any) -> None:
        """Start a kernel and list it as Kernel Gateway's manager does."""
        await super().start_kernel(kernel_id=kernel_id, kernel_name=kernel_name, env=env, independent=True, **kwargs)

    async def restart_kernel(self, kernel_id: str, now: bool = False) -> None:  # type: ignore[override]
        """Restart a kernel, and wait for no answer: jupyter_server returns a future of it that nobody looks at."""
        stock: Any = super()  # which has no types
        unobserved(await stock.restart_kernel(kernel_id, now=now))

    async def _add_kernel_when_ready(
        self, kernel_id: str, km: KernelManager, kernel_awaitable: Awaitable[None]
    ) -> None:
        """Called by jupyter_client, which would log a traceback of what its start_kernel raises all the same."""
        try:
            await kernel_awaitable
        except Exception as error:
            self.log.debug("Kernel %s did not start: %s", kernel_id, error)
            return
        self._kernels[kernel_id] = km
        self._pending_kernels.pop(kernel_id, None)

    async def enlist(self, kernel: GatewayKernel) -> None:
        """List a kernel that was taken over, or that waited, as one that was started here."""
        kernel_id = kernel.kernel_id
        self._kernels[kernel_id] = kernel
        self._kernel_connections[kernel_id] = 0
        KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type=kernel.kernel_name).inc()
        await self._finish_kernel_start(kernel_id)
        self.initialize_culler()

    def remove_traces(self, kernel_id: str) -> None:
        """Take a kernel that failed to start from all lists."""
        for by_id in (self._pending_kernels, self._kernels, self._kernel_connections):
            by_id.pop(kernel_id, None)

    def unlist(self, kernel_id: str) -> None:
        """Take a kernel that has ended from all lists. No-op for one that is not listed."""
        kernel = self._kernels.pop(kernel_id, None)
        if kernel is not None:
            KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type=kernel.kernel_name).dec()
        for by_id in (self._pending_kernels, self._kernel_connections, self._kernel_ports):
            by_id.pop(kernel_id, None)

    def cull_idle_timeout_of(self, kernel: GatewayKernel) -> int:
        """Return the seconds after which it is culled: its kernelspec's, else the manager's (cull_kernel_if_idle)."""
        metadata: Mapping[str, Any] = kernel.kernel_spec.metadata if kernel.kernel_spec is not None else {}
        return int(metadata.get("cull_idle_timeout", self.cull_idle_timeout))

    def check_known(self, kernel_id: str) -> None:
        """Raise tornado's HTTPError 404 for an id that is not listed."""
        self._check_kernel_id(kernel_id)

    # What the manager's own sockets receive from kernels.

    def watch_again(self, kernel_id: str) -> None:
        """Follow a kernel whose ports have changed while it was started. No-op for one that is not listed."""
        if kernel_id not in self:
            return
        self.stop_following(kernel_id)
        self._kernel_ports[kernel_id] = self._kernels[kernel_id].ports
        self.start_watching_activity(kernel_id)

    def follow_next_process(self, kernel_id: str) -> None:
        """Hear a kernel's next process by a new socket. No-op for a kernel that is not heard.

        The old one may hold what the last process said at its end, which would be taken for the next one's state.
        Without room for a socket the old one stays in use.
        """
        kernel = self.listed(kernel_id)
        if kernel is None or not kernel.is_heard:
            return
        old = kernel.activity_stream
        with suppress(NoRoom):
            self.start_watching_activity(kernel_id)
            old.close()

    def stop_following(self, kernel_id: str) -> None:
        """Close the sockets by which the manager listens to a kernel. No-op for one that is not listed."""
        if kernel_id not in self:
            return
        self.stop_watching_activity(kernel_id)
        self.stop_buffering(kernel_id)

    def bound_buffer(self, kernel_id: str, limit: int) -> None:
        """Keep at most `limit` bytes of output for a notebook that is gone. No-op when nothing is kept."""
        if kernel_id in self._kernel_buffers:
            self._kernel_buffers[kernel_id]["buffer"] = OutputBuffer(limit)
