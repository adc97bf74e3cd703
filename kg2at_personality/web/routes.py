"""Kernel Gateway's routes, each behind kg2at's token, errors and bounds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import kernels, sessions, specs, websocket
from .handler import GatewayHandler

#: Handlers of our own, by the name of the stock one they stand for.
OWN = {
    handler.__name__: handler
    for handler in (
        kernels.MainKernelHandler,
        kernels.KernelActionHandler,
        sessions.SessionHandler,
        sessions.SessionRootHandler,
        specs.MainKernelSpecHandler,
        specs.KernelSpecHandler,
        specs.KernelSpecResourceHandler,
        websocket.KernelWebsocketHandler,
    )
}


def guarded(routes: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """`routes` as tornado takes them (pattern, handler, more), with each stock handler replaced or wrapped."""
    return [(pattern, _guarded(handler), *more) for pattern, handler, *more in routes]


def _guarded(handler: type) -> type:
    return OWN.get(handler.__name__) or type(handler.__name__, (GatewayHandler, handler), {})
