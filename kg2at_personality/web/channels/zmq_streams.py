"""The ZeroMQ sockets that connect a websocket, or all those of one session, to the kernel."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ...kernels.kernel import GatewayKernel

CHANNELS = ("iopub", "shell", "control", "stdin")
#: A ZMQStream by channel. Each has the attributes `channel`, as jupyter_server wants it, and `ports` of the kernel.
Streams = dict[str, Any]


def take(kernel: GatewayKernel) -> Streams:
    """Return a stream for each channel, with a ZeroMQ identity of their own. Raises NoRoom, and takes none then.

    jupyter_server's identity is the session id. With that, a websocket whose predecessor is not closed at the kernel
    yet would get no replies: a ROUTER ignores a second peer of the same identity (zmq_setsockopt, ZMQ_ROUTER_HANDOVER).
    """
    identity, taken = uuid.uuid4().hex.encode(), Streams()
    try:
        for channel in CHANNELS:
            taken[channel] = stream = getattr(kernel, f"connect_{channel}")(identity=identity)
            stream.channel, stream.ports = channel, list(kernel.ports)
    except BaseException:
        close(taken)
        raise
    return taken


def renew(streams: Streams, kernel: GatewayKernel) -> bool:
    """Replace the streams if the kernel has other ports now; return whether it has. Raises NoRoom."""
    if all(stream.ports == list(kernel.ports) for stream in streams.values()):
        return False
    close(streams)
    streams.update(take(kernel))
    return True


def close(streams: Mapping[str, Any]) -> None:
    """Close the streams. Idempotent."""
    for stream in streams.values():
        if not stream.closed():
            stream.close()
