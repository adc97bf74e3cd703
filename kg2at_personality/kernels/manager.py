"""All kernels: what jupyter_server wants overridden or read, and the parts that do the work."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from jupyter_client.kernelspec import NATIVE_KERNEL_NAME
from traitlets import Float, Instance, Int, default

from ..admission.clusters import Clusters
from ..admission.policy import AdmissionPolicy
from ..spark.master_options import MasterOptions
from ..state.failpoints import Failpoints
from .activity import Activity
from .audit import Audit
from .core_watch import CoreWatch
from .ended_kernels import cull_reason
from .failures import Failures
from .gateway_end import GatewayEnd
from .journal import Journal
from .jupyter_manager import JupyterKernelManager
from .kernel import GatewayKernel
from .kernel_model import own_fields
from .launch.launcher import Launcher
from .lives import Lives
from .port_range import PortRange
from .seed import Seeding
from .spark_jobs import SparkJobs
from .spark_uis import SparkUis
from .start import Start
from .starts import Starts
from .stops import Stops
from .supplies import Supplies
from .timing import Timing
from .user import ADMINISTRATOR, GatewayUser
from .warm_demand import WarmDemand, WarmOptions
from .warm_pool import WarmPool
from .warm_refill import WarmRefill
from .zombies import Zombies

#: Why a start does not get a kernel that waits, which has its id already.
ID_CHOSEN = "its client has chosen its id"


class GatewayKernelManager(JupyterKernelManager):
    """Kernel Gateway's manager with the environment as an argument and a limit that holds.

    `start_kernel` takes `env`: what the client sent and the administrator lets through, or None when it sent none.
    """

    launcher = Instance(Launcher, ())
    clusters = Instance(Clusters, help="What admits kernels. By default it lets every kernel start at once.")
    failpoints = Instance(Failpoints, ())
    timing = Instance(Timing, ())
    warm_options = Instance(WarmOptions, kw={"kernels": {}}, help="Which kernels wait for users. By default none.")
    kernel_ports = Instance(PortRange, allow_none=True, help="For kernels' ZeroMQ ports; None: any free ones.")
    shutdown_timeout = Float(30.0, help="Seconds that all kernels have to end when the gateway does.")
    max_kernels_per_user = Int(0, help="How many kernels one user may have; 0: no bound.")
    job_wait_timeout = Float(0.0, help="Seconds for which a cell may wait for its first executor; 0: for ever.")
    max_kernel_log_size = Int(0, help="Bytes of output kept for each kernel; 0: all.")
    max_buffered_output = Int(0, help="Bytes of output kept for a notebook that is not connected; 0: all.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.supplies = Supplies(
            self.parent, self.launcher, self.kernel_spec_manager, self.clusters, self.failpoints, self.log
        )
        self.audit, self.failures = Audit(self.log), Failures()
        self.lives = Lives(self.supplies, Journal(self.log, self.audit.hear, self.failures.hear))
        self.stops = Stops(self)
        self.warm_pool = WarmPool(self, self.stops)
        self.warm_refill = WarmRefill(self, self.warm_pool, WarmDemand(self, self.warm_options))
        self.starts = Starts(self, self.stops, self.warm_pool)
        self.seeding = Seeding(self)
        self.core_watch, self.spark_uis, self._end = CoreWatch(self), SparkUis(self.clusters), GatewayEnd(self)
        self.spark_jobs = SparkJobs(self.spark_uis, self.timing)
        self._tasks: set[asyncio.Future[None]] = set()

    @default("clusters")
    def _clusters_default(self) -> Clusters:
        return Clusters(AdmissionPolicy(core_check="off"), MasterOptions(), self.log)

    @default("kernel_info_timeout")
    def _kernel_info_timeout_default(self) -> float:
        # A Toree takes 10 s on an idle machine and a minute on a busy one.
        return 120.0

    @default("kernel_manager_class")
    def _gateway_kernel_class(self) -> str:
        return f"{GatewayKernel.__module__}.{GatewayKernel.__qualname__}"

    # Starts.

    async def start_kernel(  # type: ignore[override]
        self,
        *,
        kernel_name: str | None = None,
        env: Mapping[str, str] | None = None,
        user: GatewayUser = ADMINISTRATOR,
        **kwargs: Any,
    ) -> str:
        """Start a kernel for `user`, whom it belongs to from then on, and return its id.

        Raises UnknownKernelSpec, TooManyKernels, RequestError and ConfigError; none of them costs a process, but
        SeedFailed and KernelDied where a seed notebook has to run. Whoever cancels leaves no kernel behind.
        """
        chosen = kwargs.pop("kernel_id", None)
        if chosen in self and user.sees(self.owner_of(chosen)):
            return str(await super().start_kernel(kernel_name=kernel_name, kernel_id=chosen, **kwargs))
        kernel_name = kernel_name if kernel_name and not self.parent.force_kernel_name else self.usual_name
        kernel_name = NATIVE_KERNEL_NAME if kernel_name == "python" else kernel_name  # as KernelManager has it
        kernel_id, requested = str(chosen or self.new_kernel_id()), None if env is None else dict(env)
        start = Start(kernel_id, kernel_name, requested, kwargs, user, ID_CHOSEN if chosen else "")
        with self.lives.start(start):
            self.warm_refill.note_start()
            await self.starts.run(start)
            await self.seeding.run(start.kernel_id)
        return start.kernel_id

    def pre_start_kernel(self, kernel_name: str | None, kwargs: Any) -> Any:
        """Called by jupyter_client before a launch: make the kernel."""
        kernel: Any
        kernel, name, kernel_id = super().pre_start_kernel(kernel_name, kwargs)
        start = self.starts.of(kernel_id)
        if start is not None:
            start.equip(kernel)
        return kernel, name, kernel_id

    def is_starting(self, kernel_id: str) -> bool:
        """Return whether a kernel is being started, or waits for cores."""
        return kernel_id in self.starts

    def owner_of(self, kernel_id: str) -> str | None:
        """Return whose kernel it is, or was ("": the administrators); None for one that never was, or was long ago."""
        kernel = self.listed(kernel_id)
        owner = self.starts.owner_of(kernel_id) if kernel is None else kernel.owner
        return self.stops.ended.owner_of(kernel_id) if owner is None else owner

    def task_to_stop(self, kernel_id: str) -> asyncio.Task[None] | None:
        """Return the start to end before a kernel is stopped; None when there is none."""
        return self.starts.task_to_stop(kernel_id)

    def refuse_when_closed(self) -> None:
        """Raise what refuses a kernel when the gateway is about to end."""
        self.starts.refuse_when_closed()

    def living_kernels(self) -> list[GatewayKernel]:
        """Return the kernels that are not dead."""
        return [kernel for kernel in self.kernels() if not kernel.is_dead]

    @property
    def is_starting_any(self) -> bool:
        """Return whether a kernel of a user is being started, or has not answered yet."""
        return len(self.starts) > 0 or any(not each.has_answered for each in self.living_kernels())

    @property
    def usual_name(self) -> str:
        """Return the kernelspec of those who name none."""
        return self.parent.force_kernel_name or self.default_kernel_name

    def kernel_model(self, kernel_id: str) -> dict[str, Any]:
        """Return what clients see of a kernel; see `own_fields` for what is not Jupyter's."""
        kernel = self.get_kernel(kernel_id)
        return super().kernel_model(kernel_id) | own_fields(kernel, self.parent.base_url)

    # The seed notebook.

    @property
    def seed_source(self) -> None:
        """Return no cells to Kernel Gateway, which would run them: kg2at does."""

    # What they do.

    def start_watching_activity(self, kernel_id: str) -> None:
        """Called when a kernel starts, and when its ports have changed."""
        super().start_watching_activity(kernel_id)
        kernel = self.get_kernel(kernel_id)
        Activity(self, kernel)
        self.core_watch.follow(kernel)

    def start_buffering(self, kernel_id: str, session_key: str, channels: Mapping[str, Any]) -> None:
        """Called when a kernel's last notebook goes: keep what the kernel says for it, within the bound."""
        super().start_buffering(kernel_id, session_key, channels)
        self.bound_buffer(kernel_id, self.max_buffered_output)

    def _handle_kernel_died(self, kernel_id: str) -> None:
        """Called when a kernel died once too often. It stays listed, with its reason, until somebody deletes it."""
        kernel, reason = self.listed(kernel_id), "The kernel died again and again, and is not restarted any more."
        if kernel is not None and not kernel.is_dead:
            self.lives.died(kernel, reason)
            self.keep(kernel.mark_dead(reason))

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in a task of this manager's own."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Stops.

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """Called by jupyter_server for each kernel at each `cull_interval`, which shuts down those that are not used.

        One whose jobs or streams run is used, whatever its cells do, and the end of a job is a use of it.
        """
        kernel = self.listed(kernel_id)
        if kernel is None or kernel_id in self.stops:
            return
        report = kernel.kind.driver_report()
        if report is not None and report.is_working:
            return
        if report is not None and kernel.is_heard:
            kernel.last_activity = max(kernel.last_activity, report.last_end)
        with self.stops.culling(kernel_id, cull_reason(kernel.is_dead, self.cull_idle_timeout_of(kernel))):
            await super().cull_kernel_if_idle(kernel_id)

    def _check_kernel_id(self, kernel_id: str) -> None:
        """Called before something is done with a kernel. Raises CulledKernel, and tornado's HTTPError 404."""
        if kernel_id not in self and not self.is_starting(kernel_id):
            self.stops.ended.check(kernel_id)
        super()._check_kernel_id(kernel_id)

    @property
    def zombies(self) -> Zombies:
        """Return those that were stopped and live on."""
        return self.stops.zombies

    async def shutdown_kernel(  # type: ignore[override]
        self, kernel_id: str, now: bool = False, restart: bool = False, by: GatewayUser | None = None
    ) -> None:
        """Stop a kernel; see Stops.stop."""
        await self.stops.stop(kernel_id, now, by)

    async def shutdown_all_kernels(self) -> None:
        """End every kernel, and start none any more. What has not ended after `shutdown_timeout` seconds is killed."""
        await self._end.end_all()

    async def leave_all_kernels(self) -> None:
        """Start none any more, and leave those that run to the next gateway. What is under way comes to its end."""
        await self._end.leave_all()

    async def settle(self) -> None:
        """Wait until all that `keep` runs has come to its end."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
