"""Kernel Gateway's routes, each behind kg2at's token, errors and bounds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from . import health, kernels, metrics, not_found, sessions, specs, status
from .channels import websocket_handler
from .handler import GatewayHandler
from .page import page_handler
from .spark_ui import spark_ui_handler

#: kg2at's handlers, by the name of the stock one that each replaces.
OWN = {
    handler.__name__: handler
    for handler in (
        kernels.MainKernelHandler,
        kernels.KernelHandler,
        kernels.KernelActionHandler,
        sessions.SessionHandler,
        sessions.SessionRootHandler,
        specs.SpecJsonHandler,
        specs.APIYamlHandler,
        specs.APIVersionHandler,
        specs.MainKernelSpecHandler,
        specs.KernelSpecHandler,
        specs.KernelSpecResourceHandler,
        websocket_handler.KernelWebsocketHandler,
        not_found.NotFoundHandler,
    )
}


def own_routes(authenticate_metrics: bool) -> list[tuple[str, type]]:
    """Return path and handler of each route that Kernel Gateway has none for."""
    return [
        *status.routes,
        *health.routes,
        *metrics.routes(authenticate_metrics),
        *page_handler.routes,
        *kernels.routes,
        *spark_ui_handler.routes,
    ]


def guarded(routes: Iterable[tuple[Any, ...]], base_url: str) -> list[tuple[Any, ...]]:
    """Return `routes` as tornado takes them (pattern, handler, more), with each stock handler replaced or wrapped.

    The patterns begin with `base_url`, which is escaped, as it is no pattern itself.
    """
    escaped = re.escape(base_url)
    return [(escaped + pattern.removeprefix(base_url), _guarded(handler), *more) for pattern, handler, *more in routes]


def _guarded(handler: type) -> type:
    if issubclass(handler, GatewayHandler):
        return handler
    return OWN.get(handler.__name__) or type(handler.__name__, (GatewayHandler, handler), {})
