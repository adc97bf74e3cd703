"""The clusters that kernels' configurations name: a queue for each, and a client of its masters."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..errors import MasterUnreachable
from ..spark.cluster import App, AppIdentity, ClusterState
from ..spark.conf import SparkConf
from ..spark.driver_report import DriverReport
from ..spark.executor_deaths import ExecutorDeaths, executor_deaths
from ..spark.master import MasterClient
from ..spark.master_options import MasterOptions
from ..spark.master_ui import master_urls
from ..spark.master_url import is_standalone
from ..spark.redaction import Redactor
from .application_wait import ApplicationWait
from .log import Log
from .policy import AdmissionPolicy
from .queue import AdmissionQueue
from .request import AdmissionRequest

#: Seconds in which a master notices that an application's driver is gone (seen: 0.01).
GIVE_BACK_LIMIT = 5.0
#: Seconds between the first two looks, and the longest pause.
GIVE_BACK_POLLS = 0.005, 0.1


class Clusters:
    """Admits kernels to the standalone cluster that their configuration names; to anything else freely.

    A method without a cluster in its arguments finds the kernel where it has a lease, and is a no-op if it has none.
    """

    def __init__(
        self, policy: AdmissionPolicy, options: MasterOptions, log: Log, *, give_back_limit: float = GIVE_BACK_LIMIT
    ) -> None:
        self.policy, self.options, self.log = policy, options, log
        self._give_back_limit = give_back_limit
        self._queues: dict[tuple[str, ...], tuple[AdmissionQueue, MasterClient]] = {}
        self._clients: dict[tuple[str, ...], MasterClient] = {}

    async def acquire(self, request: AdmissionRequest, urls: Sequence[str]) -> None:
        """Return when the kernel may start at the cluster with these `urls`; see AdmissionQueue.acquire."""
        if self._is_checked(request):
            await self._queue(tuple(urls)).acquire(request)

    def adopt(self, request: AdmissionRequest, urls: Sequence[str], *, restarted: bool, age: float = math.inf) -> None:
        """Give a kernel that runs already its lease at the cluster with these `urls`; see AdmissionQueue.adopt."""
        if self._is_checked(request):
            self._queue(tuple(urls)).adopt(request, restarted=restarted, age=age)

    def urls(self, conf: SparkConf) -> tuple[str, ...]:
        """Return the masters that this configuration names, for `acquire` and `adopt`. They may have passwords in them.

        Raises SparkConfError as `master_urls` does.
        """
        return tuple(master_urls(conf, self.options.urls))

    async def ask(self, conf: SparkConf) -> ClusterState | None:
        """Return the state of the cluster that this configuration names, asked for now.

        None where no start depends on a master's answer: none is asked. The cluster is in the status from then on.
        Raises MasterUnreachable, and as `urls` does.
        """
        starts_anyway = self.policy.core_check == "off" or self.policy.master_unreachable == "admit"
        if starts_anyway or not is_standalone(conf.master):
            return None
        urls = self.urls(conf)
        self._queue(urls)
        return await self._client(urls).state()

    def _is_checked(self, request: AdmissionRequest) -> bool:
        return request.executors is not None and self.policy.core_check != "off"

    def _queue(self, urls: tuple[str, ...]) -> AdmissionQueue:
        if urls not in self._queues:
            client = self._client(urls)
            self._queues[urls] = AdmissionQueue(client.state, self.policy, log=self.log), client
        return self._queues[urls][0]

    def _client(self, urls: tuple[str, ...]) -> MasterClient:
        if urls not in self._clients:
            self._clients[urls] = MasterClient.with_options(urls, self.options)
        return self._clients[urls]

    def release(self, kernel_id: str) -> None:
        """Give back the kernel's lease."""
        for queue, _ in self._queues.values():
            queue.release(kernel_id)

    def holds(self, kernel_id: str) -> bool:
        """Return whether the kernel has a lease."""
        return any(queue.holds(kernel_id) for queue, _ in self._queues.values())

    def renew(self, kernel_id: str) -> None:
        """Reserve the kernel's cores again, for its restart; see AdmissionQueue.renew."""
        for queue, _ in self._queues.values():
            queue.renew(kernel_id)

    def rename(self, kernel_id: str, application: AppIdentity) -> None:
        """Tell how the master will show the kernel's next process; see AdmissionQueue.rename."""
        for queue, _ in self._queues.values():
            queue.rename(kernel_id, application)

    def note_work(self, kernel_id: str, report: DriverReport | None, is_busy: bool) -> None:
        """Tell what the kernel does; see AdmissionQueue.note_work."""
        for queue, _ in self._queues.values():
            queue.note_work(kernel_id, report, is_busy)

    def wait_of(self, kernel_id: str) -> ApplicationWait | None:
        """Return what the kernel's application waits for; see AdmissionQueue.wait_of."""
        waits = (queue.wait_of(kernel_id) for queue, _ in self._queues.values())
        return next((wait for wait in waits if wait is not None), None)

    def application(self, kernel_id: str) -> str | None:
        """Return the id of the kernel's application at the master, from memory; None without one, or a lease."""
        leases = (each["leases"].get(kernel_id) for each in self.status())
        return next((lease["app_id"] for lease in leases if lease is not None), None)

    def given_back(self, kernel_id: str) -> int:
        """Return the cores that others may have until the kernel needs them; see AdmissionQueue.given_back."""
        return sum(queue.given_back(kernel_id) for queue, _ in self._queues.values())

    async def gave_back(self, kernel_id: str) -> None:
        """Wait until the master shows no application of the kernel, whose process has ended.

        At most `give_back_limit` seconds, and not at all when the master does not answer.
        """
        limit, (pause, longest) = time.monotonic() + self._give_back_limit, GIVE_BACK_POLLS
        for queue, client in list(self._queues.values()):
            try:
                while time.monotonic() < limit and await _applications(queue, client, kernel_id):
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, longest)
            except MasterUnreachable as error:
                self.log.warning("Not known whether kernel %s gave back its cores. %s", kernel_id, error)

    async def end_applications(self, kernel_id: str) -> bool:
        """Have the master end the applications of a kernel that has a lease and whose process can't be ended.

        Returns True when the master shows none of them afterwards, or the kernel has no lease: the caller may then
        release it. False when some are left, or the master did not answer; the log says why.
        """
        held = [(queue, client) for queue, client in self._queues.values() if queue.holds(kernel_id)]
        return all([await self._end_applications(queue, client, kernel_id) for queue, client in held])

    async def _end_applications(self, queue: AdmissionQueue, client: MasterClient, kernel_id: str) -> bool:
        try:
            for app in await _applications(queue, client, kernel_id):
                self.log.warning("Ending application %s of kernel %s at the master", app.id, kernel_id)
                await client.kill_application(app.id)
            left = await _applications(queue, client, kernel_id)
        except MasterUnreachable as error:
            self.log.warning("Not known whether the applications of kernel %s have ended. %s", kernel_id, error)
            return False
        if left:
            what = ", ".join(app.id for app in left)
            self.log.warning("The master does not end %s of kernel %s: is spark.ui.killEnabled off?", what, kernel_id)
        return not left

    async def deaths(self, kernel_id: str, app_id: str, redactor: Redactor) -> ExecutorDeaths:
        """Return how the executors of the kernel's application end by themselves; see `executor_deaths`.

        None have for a kernel without a lease, and when the master does not answer.
        """
        for queue, client in list(self._queues.values()):
            if queue.holds(kernel_id):
                with contextlib.suppress(MasterUnreachable):
                    return await executor_deaths(client, app_id, redactor)
        return ExecutorDeaths()

    def status(self) -> list[dict[str, Any]]:
        """Return what each queue knows, from memory; see AdmissionQueue.status."""
        return [queue.status() | {"urls": list(urls)} for urls, (queue, _) in self._queues.items()]

    def look(self) -> None:
        """Called while somebody looks at the clusters; see AdmissionQueue.look."""
        for queue, _ in self._queues.values():
            queue.look()

    def polls(self) -> Counter[str]:
        """Return how often masters were asked, by what came of it; see MasterView."""
        return sum((queue.polls for queue, _ in self._queues.values()), Counter())

    async def close(self) -> None:
        """Refuse everybody who waits, and close the clients. Idempotent."""
        for queue, _ in self._queues.values():
            await queue.close()
        for client in self._clients.values():
            client.close()


async def _applications(queue: AdmissionQueue, client: MasterClient, kernel_id: str) -> list[App]:
    """Return the kernel's applications that have not ended; [] when it has no lease. Raises MasterUnreachable."""
    return queue.applications(kernel_id, await client.state()) if queue.holds(kernel_id) else []
