"""One admission queue for each cluster that a kernel's configuration names."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from ..errors import MasterUnreachable
from ..spark.conf import SparkConf
from ..spark.master import MasterClient, master_urls
from .queue import AdmissionPolicy, AdmissionQueue, AdmissionRequest

#: Seconds in which a master notices that an application's driver is gone (seen: 0.01), and between two looks.
GIVE_BACK_LIMIT = 5.0
GIVE_BACK_POLL = 0.02


@dataclass(frozen=True)
class MasterOptions:
    """How masters are asked: `urls` as the trait `master_url`, `timeout` in seconds, TLS as for tornado."""

    urls: str = ""
    timeout: float = 5.0
    validate_cert: bool = True
    ca_certs: str = ""


class Clusters:
    """Admits kernels to the standalone cluster that their configuration names; to anything else freely."""

    def __init__(self, policy: AdmissionPolicy, options: MasterOptions, log: Any) -> None:
        self.policy, self.options, self.log = policy, options, log
        self._queues: dict[tuple[str, ...], tuple[AdmissionQueue, MasterClient]] = {}

    async def acquire(self, request: AdmissionRequest, conf: SparkConf) -> None:
        """Return when the kernel may start. Raises what AdmissionQueue.acquire raises."""
        if request.executors is not None and self.policy.core_check != "off":
            await self._queue(conf).acquire(request)

    def _queue(self, conf: SparkConf) -> AdmissionQueue:
        options = self.options
        urls = tuple(master_urls(conf, options.urls))
        if urls not in self._queues:
            client = MasterClient(
                urls, timeout=options.timeout, validate_cert=options.validate_cert, ca_certs=options.ca_certs or None
            )
            self._queues[urls] = AdmissionQueue(client.state, self.policy, log=self.log), client
        return self._queues[urls][0]

    def release(self, kernel_id: str) -> None:
        """Give back what the kernel holds; nothing is nothing."""
        for queue, _ in self._queues.values():
            queue.release(kernel_id)

    def holds(self, kernel_id: str) -> bool:
        """Whether cores are held for the kernel, or kept for it."""
        return any(queue.holds(kernel_id) for queue, _ in self._queues.values())

    def renew(self, kernel_id: str) -> None:
        """Promise the kernel's cores anew, for its restart: what its old process has at the master counts no more."""
        for queue, _ in self._queues.values():
            queue.renew(kernel_id)

    async def gave_back(self, kernel_id: str) -> None:
        """Wait until the master shows no application of the kernel, whose process has ended.

        At most `GIVE_BACK_LIMIT` seconds, and not at all when the master does not answer.
        """
        limit = time.monotonic() + GIVE_BACK_LIMIT
        for queue, client in self._queues.values():
            while queue.holds(kernel_id) and time.monotonic() < limit:
                try:
                    state = await client.state()
                except MasterUnreachable as error:
                    self.log.warning("Not known whether kernel %s gave back its cores. %s", kernel_id, error)
                    break
                if not any(kernel_id in app.name for app in state.apps):
                    break
                await asyncio.sleep(GIVE_BACK_POLL)

    def status(self) -> list[dict[str, Any]]:
        """What each queue knows, from memory."""
        return [queue.status() | {"urls": list(urls)} for urls, (queue, _) in self._queues.items()]

    async def close(self) -> None:
        """Refuse all waiters and let go of the masters."""
        for queue, client in self._queues.values():
            await queue.close()
            client.close()
