"""The web UIs of kernels' Spark drivers: where each is, and the way of a request to it."""

from __future__ import annotations

import asyncio
import os
from weakref import WeakValueDictionary

from jupyter_server.utils import url_path_join
from tornado.httpclient import HTTPResponse

from ..admission.clusters import Clusters
from ..errors import NoSparkUi, SparkUiSilent
from ..spark.driver_report import DriverReport
from ..spark.driver_ui import DriverUi, UiRequest
from ..system.listeners import listening_address
from .kernel import GatewayKernel

#: Requests to one driver at a time: as many as a browser sends by HTTP/1.1.
MOST_AT_ONCE = 6
DEAD = "The kernel is dead, and its Spark with it. Restart the kernel."
NO_APPLICATION = "The kernel has no Spark application now. Run a cell that uses Spark, and open this page again."
STARTING = "The kernel's Spark is just starting. Open this page again in some seconds."
OFF = "The kernel's Spark has no web UI: spark.ui.enabled is false in its configuration."
UNTOLD = "An earlier gateway has started the kernel, which does not tell where its Spark UI is. Restart the kernel."
GONE = (
    "Nothing of the kernel's listens on port {port}, on which its Spark UI was. Open this page again in some seconds."
)
NOT_KNOWN = (
    "It can't be told whether port {port} is the one of the kernel's Spark UI: the system does not say who listens "
    "there, and what answers does not name the application that the Spark master has of this kernel."
)


def ui_path(base_url: str, kernel_id: str, report: DriverReport) -> str | None:
    """Return the path at which the gateway shows a kernel's Spark UI; None while its driver reports none."""
    if not report.app_id or not report.ui_port:
        return None
    return str(url_path_join(base_url, "kg2at", "kernels", kernel_id, "spark")) + "/"


def report_of(kernel: GatewayKernel) -> DriverReport:
    """Return what a kernel's driver has reported; an empty one before the first, and for a dead kernel."""
    return (None if kernel.is_dead else kernel.kind.driver_report()) or DriverReport()


class SparkUis:
    """Finds the UI of a kernel by its driver's report, which the user's own process has written.

    So the port in it is used only if a process of the kernel listens there; where the system does not tell, if the
    REST API there names the application that the kernel has at the master.
    """

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def fetch(self, kernel: GatewayKernel, request: UiRequest) -> tuple[DriverUi, HTTPResponse]:
        """Return the UI's answer, and where the UI is. Raises NoSparkUi and SparkUiSilent.

        A request whose caller is cancelled keeps its turn until its end, so that the bound holds.
        """
        turn = self._turns.setdefault(kernel.kernel_id, asyncio.Semaphore(MOST_AT_ONCE))
        await turn.acquire()
        asked = asyncio.ensure_future(self._ask(kernel, request))
        asked.add_done_callback(lambda _: turn.release())
        return await asyncio.shield(asked)

    def is_busy(self, kernel_id: str) -> bool:
        """Return whether as many requests are at a kernel's UI as may be."""
        turn = self._turns.get(kernel_id)
        return turn is not None and turn.locked()

    async def _ask(self, kernel: GatewayKernel, request: UiRequest) -> tuple[DriverUi, HTTPResponse]:
        ui = await self.find(kernel)
        return ui, await ui.fetch(request)

    async def find(self, kernel: GatewayKernel) -> DriverUi:
        """Return where a kernel's UI is now. Raises NoSparkUi and SparkUiSilent with what to do."""
        pid, report = kernel.pid, report_of(kernel)
        if pid is None or kernel.is_dead:
            raise NoSparkUi(DEAD)
        port = _port(report)
        address = await asyncio.to_thread(listening_address, pid, port)
        if address == "":
            raise SparkUiSilent(GONE.format(port=port))
        ui = DriverUi(address or os.environ.get("SPARK_LOCAL_IP") or "127.0.0.1", port, report.has_https, report.app_id)
        if address is None:
            await self._check(kernel, ui)
        return ui

    async def _check(self, kernel: GatewayKernel, ui: DriverUi) -> None:
        """Raise SparkUiSilent unless the UI is that of the application that the kernel has at the master."""
        app_id = self._clusters.application(kernel.kernel_id)
        if app_id is None or not await ui.has_application(app_id):
            raise SparkUiSilent(NOT_KNOWN.format(port=ui.port))


def _port(report: DriverReport) -> int:
    """Return the port that a report tells. Raises NoSparkUi and SparkUiSilent if there is none."""
    if report.is_starting:
        raise SparkUiSilent(STARTING)
    if not report.app_id:
        raise NoSparkUi(NO_APPLICATION)
    if not report.ui_port:
        raise NoSparkUi(UNTOLD if report.ui_port is None else OFF)
    return report.ui_port
