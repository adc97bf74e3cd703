"""What a kernel needs for a launch, and gives back when nothing is left of it: environment, plan, cores, record."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from logging import Logger
from typing import Protocol

from jupyter_client.kernelspec import NoSuchKernel

from ..admission.clusters import Clusters
from ..admission.request import AdmissionRequest, patience_of
from ..spark.cluster import AppIdentity
from ..state.failpoints import Failpoints
from ..state.ledger import Ledger, NoLedger
from ..state.record import Admission
from .environment import kernel_environment
from .kernel_processes import KERNEL_ID, KernelProcess, find_of
from .launch.launcher import Launcher
from .launch.plan import Plan
from .launch.properties import application_name
from .launch_failure import launch_failure
from .specs import SparkKernelSpecManager

#: Whose kernel it is, for Jupyter's gateways: what its client says, unless the gateway knows better.
KERNEL_USERNAME = "KERNEL_USERNAME"


class GatewayOptions(Protocol):
    """What the environment of a kernel depends on, of KernelGatewayApp's traits."""

    env_process_whitelist: list[str]
    auth_token: str


class Supplies:
    """Provides for all kernels of a gateway. Until a ledger is opened it has one that keeps nothing."""

    def __init__(
        self,
        options: GatewayOptions,
        launcher: Launcher,
        specs: SparkKernelSpecManager,
        clusters: Clusters,
        failpoints: Failpoints,
        log: Logger,
    ) -> None:
        self._options, self._launcher, self._specs, self._log = options, launcher, specs, log
        self._failpoints = failpoints
        self.clusters = clusters
        self.ledger: Ledger | NoLedger = NoLedger()

    def environment(self, kernel_id: str, requested: Mapping[str, str] | None, owner: str = "") -> dict[str, str]:
        """Return what the kernel's process sees; `requested` is what its client sent, `owner` as of GatewayKernel."""
        options = self._options
        env = kernel_environment(os.environ, requested, options.env_process_whitelist, options.auth_token)
        known = {KERNEL_USERNAME: owner} if owner else {}
        return {**env, **known, KERNEL_ID: kernel_id, **self.ledger.mark}

    def processes_of(self, kernel_id: str) -> list[KernelProcess]:
        """Return what runs of a kernel, as far as its environment tells; a child that called setsid, too. Blocking."""
        return find_of(kernel_id, self.ledger.mark)

    async def plan(self, kernel_name: str, env: Mapping[str, str], owner: str = "") -> Plan | None:
        """Return how one of kg2at's kernels is launched, as the files are now; None for others, which need no plan.

        Raises UnknownKernelSpec, RequestError, ConfigError and LaunchFailed.
        """
        try:
            plan = await self._plan(kernel_name, env)
        except OSError as error:
            raise launch_failure(error) from error
        return replace(plan, owner=owner) if plan is not None else None

    async def _plan(self, kernel_name: str, env: Mapping[str, str]) -> Plan | None:
        try:
            spec = self._specs.get_kernel_spec(kernel_name)
        except NoSuchKernel as error:
            raise self._specs.unknown(kernel_name) from error
        about = spec.metadata.get("kg2at")
        if not about:
            return None
        return await asyncio.to_thread(self._launcher.plan, about["interpreter"], about.get("profile", ""), env)

    async def admit(
        self, kernel_id: str, kernel_name: str, env: Mapping[str, str], plan: Plan | None, max_cores: int | None = None
    ) -> Admission | None:
        """Wait until the cluster has the cores that `plan` asks for. Raises what AdmissionQueue.acquire raises.

        `max_cores` is its user's own bound; None: the policy's.
        Called before each launch; a restart keeps what its kernel was admitted with, and gets None.
        """
        if plan is None or self.clusters.holds(kernel_id):
            return None
        admission = self.admission(kernel_id, kernel_name, env, plan, max_cores)
        if admission is not None:
            await self.clusters.acquire(admission.request, admission.urls)
        return admission

    def admission(
        self, kernel_id: str, kernel_name: str, env: Mapping[str, str], plan: Plan, max_cores: int | None = None
    ) -> Admission | None:
        """Return what to ask for with `plan`, and where; None when it takes nobody's cores.

        Raises what master_urls raises.
        """
        if plan.executors is None:
            return None
        user = env.get(KERNEL_USERNAME, "")
        shown = AppIdentity(application_name(plan, kernel_id), None)
        request = AdmissionRequest(kernel_id, kernel_name, user, plan.executors, patience_of(env), shown, max_cores)
        return Admission(request, self.clusters.urls(plan.conf))

    def forget(self, kernel_id: str) -> None:
        """Called when nothing is left of a kernel: give back its cores, drop its record."""
        self.clusters.release(kernel_id)
        try:
            self.ledger.drop(kernel_id)
        except OSError as error:
            self._log.error("The record of kernel %s could not be removed: %s", kernel_id, error)
        self._failpoints.reached("stop: forgotten")
