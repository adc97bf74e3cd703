"""One admission queue for each cluster that a kernel's configuration names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..spark.conf import SparkConf
from ..spark.master import MasterClient, master_urls
from .queue import AdmissionPolicy, AdmissionQueue, AdmissionRequest


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

    def renew(self, kernel_id: str) -> bool:
        """Promise the kernel's cores anew for its restart. False when it holds none."""
        holding = [queue for queue, _ in self._queues.values() if queue.holds(kernel_id)]
        for queue in holding:
            queue.renew(kernel_id)
        return bool(holding)

    def status(self) -> list[dict[str, Any]]:
        """What each queue knows, from memory."""
        return [queue.status() | {"urls": list(urls)} for urls, (queue, _) in self._queues.items()]

    async def close(self) -> None:
        """Refuse all waiters and let go of the masters."""
        for queue, client in self._queues.values():
            await queue.close()
            client.close()
