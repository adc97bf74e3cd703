"""The ZeroMQ sockets that connect a websocket, or all those of one session, to the kernel."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ...kernels.kernel import GatewayKernel

CHANNELS = ("iopub", "shell", "control", "stdin")


def take(kernel: GatewayKernel) -> dict[str, Any]:
    """A stream for each channel, under an identity that no other connection has. Raises NoRoom, and takes none then.

    jupyter_server uses the session id, so that a connection whose predecessor is not quite closed yet gets no answers
    (a ROUTER ignores a second peer of the same identity: zmq_setsockopt, ZMQ_ROUTER_HANDOVER).
    """
    identity, taken = uuid.uuid4().hex.encode(), dict[str, Any]()
    try:
        for channel in CHANNELS:
            taken[channel] = stream = getattr(kernel, f"connect_{channel}")(identity=identity)
            stream.channel, stream.ports = channel, list(kernel.ports)
    except BaseException:
        close(taken)
        raise
    return taken


def renew(streams: dict[str, Any], kernel: GatewayKernel) -> bool:
    """Put others in their place if the kernel has other ports now; whether it has. Raises NoRoom."""
    if all(stream.ports == list(kernel.ports) for stream in streams.values()):
        return False
    close(streams)
    streams.update(take(kernel))
    return True


def close(streams: Mapping[str, Any]) -> None:
    """Give them back."""
    for stream in streams.values():
        if not stream.closed():
            stream.close()
