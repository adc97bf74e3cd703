"""A gateway that has many kernels and a long queue, without a process: for what its status, page and metrics cost."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

from jupyter_client.provisioning.factory import KernelProvisionerFactory
from kernel_gateway.gatewayapp import KernelGatewayApp

from kg2at_personality.admission.request import AdmissionRequest
from kg2at_personality.kernels.files import KernelFiles
from kg2at_personality.kernels.manager import GatewayKernelManager
from kg2at_personality.spark.cluster import AppIdentity, ExecutorRequest
from tests.fakes.app import make_app
from tests.fakes.toree import reported

#: Nothing listens there.
MASTER = ("http://127.0.0.1:9",)
NAME = "apache_toree_scala"


class ManyKernels:
    """`count` kernels that hold cores, and whose drivers have told what they do, and as many that wait for some."""

    def __init__(self, count: int, runtime: Path) -> None:
        """Needs the running loop."""
        self.app: KernelGatewayApp = make_app(
            {"KG2ATPersonality": {"max_queue": 2 * count, "core_wait_timeout": 600.0}}
        )
        self.manager: GatewayKernelManager = self.app.kernel_manager
        self._runtime = runtime
        for number in range(count):
            self._add(number)
        self._waiting = [asyncio.ensure_future(self._wait(count + number)) for number in range(count)]

    def _add(self, number: int) -> None:
        kernel_id = str(uuid.UUID(int=number))
        kernel = self.manager.make_kernel(kernel_id, NAME, str(self._runtime / f"kernel-{kernel_id}.json"))
        spec = self.manager.kernel_spec_manager.get_kernel_spec(NAME)
        kernel.provisioner = KernelProvisionerFactory.instance(parent=self.manager.parent).create_provisioner_instance(
            kernel_id, spec, parent=kernel
        )
        kernel._launch_args = {"env": {"KERNEL_USERNAME": f"user-{number % 50}"}}
        kernel.owner, kernel.execution_state = f"user-{number % 50}", "idle"
        KernelFiles(kernel.connection_file).report.write_bytes(reported(app_id=f"app-{number}"))
        self.manager._kernels[kernel_id] = kernel
        self.manager.clusters.adopt(_request(number), MASTER, restarted=False)

    async def _wait(self, number: int) -> None:
        await self.manager.clusters.acquire(_request(number), MASTER)

    async def end(self) -> None:
        """End what waits."""
        await self.manager.clusters.close()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        self.manager._kernels.clear()


def _request(number: int) -> AdmissionRequest:
    kernel_id, user = str(uuid.UUID(int=number)), f"user-{number % 50}"
    return AdmissionRequest(
        kernel_id, NAME, user, ExecutorRequest(2, 1, 1024), application=AppIdentity(f"Toree {kernel_id}", user)
    )
