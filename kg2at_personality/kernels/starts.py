"""What kernels need before they start, and give back when they have ended: plan, environment, cores, record."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from jupyter_client.kernelspec import NoSuchKernel
from kernel_gateway.services.kernels.manager import SeedingMappingKernelManager
from traitlets import Any as AnyTrait
from traitlets import Instance, default
from zmq import ZMQError

from ..admission.request import AdmissionRequest, patience_of
from ..errors import LaunchFailed, NoRoom, UnknownKernelSpec
from ..spark.cluster import AppIdentity
from ..state.failpoints import point
from ..state.ledger import MARK
from ..state.record import Admission, Record
from ..system.processes import Found
from .environment import kernel_environment
from .strays import find_of
from .toree import Plan, ToreeLauncher, application_name

#: What is raised when there is no descriptor, memory, process or disk left; ZeroMQ says so in its own way.
SYSTEM_ERRORS = (OSError, ZMQError, NoRoom)


def could_not_launch(error: Exception, tried: str = "launched") -> LaunchFailed:
    """What SYSTEM_ERRORS are to whoever has a kernel `tried`: launched or restarted."""
    return LaunchFailed(f"The kernel could not be {tried}: {str(error).rstrip('.')}. Please tell the administrator.")


class SupplyingKernelManager(SeedingMappingKernelManager):  # type: ignore[misc]
    """Kernel Gateway's manager, which can tell what a start needs."""

    launcher = Instance(ToreeLauncher)
    clusters = AnyTrait(None, help="The Clusters that admit kernels; None: every kernel starts at once.")
    ledger = AnyTrait(None, help="The Ledger that kernels are written down in; None: none is.")

    @default("launcher")
    def _launcher_default(self) -> ToreeLauncher:
        return ToreeLauncher()

    def environment(self, kernel_id: str, requested: Mapping[str, str] | None) -> dict[str, str]:
        """What the kernel's process sees; `requested` is what its client sent."""
        app = self.parent
        env = kernel_environment(os.environ, requested, app.env_process_whitelist, app.auth_token)
        return env | {"KERNEL_ID": kernel_id} | (self.ledger.mark if self.ledger is not None else {})

    def processes_of(self, kernel_id: str) -> list[Found]:
        """What runs of a kernel, as far as its environment tells; a child that called setsid, too. Blocking."""
        return find_of(kernel_id, MARK, str(self.ledger.path)) if self.ledger is not None else []

    def launch_of(self, record: Record) -> dict[str, Any]:
        """The arguments of the next start of a kernel that was taken over."""
        env = self.environment(record.kernel_id, record.env)
        launch: dict[str, Any] = {"kernel_id": record.kernel_id, "env": env, "independent": True}
        launch |= {"cwd": record.cwd} if record.cwd is not None else {}
        return dict(self._kernel_start_kwargs(**launch))

    async def launch_arguments(self, kernel_name: str, env: Mapping[str, str]) -> dict[str, Any]:
        """What a launch needs beside its environment: the plan of a Toree, nothing for other kernels.

        Raises UnknownKernelSpec, RequestError and ConfigError.
        """
        try:
            return await self._launch_arguments(kernel_name, env)
        except OSError as error:
            raise could_not_launch(error) from error

    async def _launch_arguments(self, kernel_name: str, env: Mapping[str, str]) -> dict[str, Any]:
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

    async def admit(
        self, kernel_id: str, kernel_name: str, env: Mapping[str, str], plan: Plan | None
    ) -> Admission | None:
        """Wait until the cluster has the cores that `plan` asks for. Raises what AdmissionQueue.acquire raises.

        Called before each start; a restart keeps what its kernel was admitted with, and gets None.
        """
        if plan is None or self.clusters is None or self.clusters.holds(kernel_id):
            return None
        admission = self.admission(kernel_id, kernel_name, env, plan)
        if admission is not None:
            await self.clusters.acquire(admission.request, plan.conf)
        return admission

    def admission(self, kernel_id: str, kernel_name: str, env: Mapping[str, str], plan: Plan) -> Admission | None:
        """What to ask for with `plan`, and where; None when it takes nobody's cores. Raises what master_urls raises."""
        if plan.executors is None or self.clusters is None:
            return None
        user = env.get("KERNEL_USERNAME", "")
        shown = AppIdentity(application_name(plan, kernel_id), None)
        request = AdmissionRequest(kernel_id, kernel_name, user, plan.executors, patience_of(env), shown)
        return Admission(request, self.clusters.urls(plan.conf))

    def renew(self, kernel_id: str) -> None:
        """Keep the cores for the kernel's next process. Called when the last one is to end, and when it has ended."""
        if self.clusters is not None:
            self.clusters.renew(kernel_id)

    def rename(self, kernel_id: str, application: AppIdentity) -> None:
        """Tell how the master will show the kernel's next process, which is about to be launched."""
        if self.clusters is not None:
            self.clusters.rename(kernel_id, application)

    def release(self, kernel_id: str) -> None:
        """Give back the cores of a kernel that has ended."""
        if self.clusters is not None:
            self.clusters.release(kernel_id)

    def forget(self, kernel_id: str) -> None:
        """Called when nothing is left of a kernel: give back its cores, drop its record."""
        self.release(kernel_id)
        if self.ledger is not None:
            try:
                self.ledger.drop(kernel_id)
            except OSError as error:
                self.log.error("The record of kernel %s could not be removed: %s", kernel_id, error)
        point("stop: forgotten")
