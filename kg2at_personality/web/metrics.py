"""`/metrics`: what Prometheus asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import prometheus_client
from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from kernel_gateway.mixins import CORSMixin
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from tornado import web

from .handler import GatewayHandler


class MetricsHandler(GatewayHandler, CORSMixin):  # type: ignore[misc]
    """Answers from memory, in the format that is asked for: Prometheus' own, or OpenMetrics."""

    auth_resource = "kernels"

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """200 with kg2at's metrics, and with those of Jupyter Server and of this process."""
        self.finish_with_metrics()

    def finish_with_metrics(self) -> None:
        """Send them."""
        encode, content_type = choose_encoder(self.request.headers.get("Accept", ""))
        registries: Any = _Registries(prometheus_client.REGISTRY, self.personality.kernel_metrics)
        self.set_header("Content-Type", content_type)
        self.finish(encode(registries))


class OpenMetricsHandler(MetricsHandler):
    """Answers whoever asks (authenticate_metrics False)."""

    needs_user = False

    @allow_unauthenticated
    async def get(self) -> None:
        """200, as above."""
        self.finish_with_metrics()


class _Registry(Protocol):
    def collect(self) -> Iterable[Metric]: ...


class _Registries:
    """Several registries, as an encoder sees one."""

    def __init__(self, *registries: _Registry) -> None:
        self._registries = registries

    def collect(self) -> Iterator[Metric]:
        for registry in self._registries:
            yield from registry.collect()


def routes(needs_user: bool) -> list[tuple[str, type[GatewayHandler]]]:
    """Return the route; `needs_user`: it is behind the token."""
    return [("/metrics", MetricsHandler if needs_user else OpenMetricsHandler)]
