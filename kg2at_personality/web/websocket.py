"""The handler of `/api/kernels/ID/channels`."""

from __future__ import annotations

from jupyter_server.services.kernels import websocket as stock

from .handler import GatewayHandler

#: What tornado reads at once, at most (IOStream.max_buffer_size, 100 MiB), with room for the frame around it.
LARGEST = 96 * 1024 * 1024
#: How much larger than `max_message_size` a message may be that is told so; a still larger one is not read.
TOLD = 4


class KernelWebsocketHandler(GatewayHandler, stock.KernelWebsocketHandler):  # type: ignore[misc]
    """Opens the websocket between a notebook and its kernel."""

    @property
    def max_message_size(self) -> int:
        """Called by tornado: bytes of a message that closes the websocket unread (RFC 6455, status 1009)."""
        return min(TOLD * self.settings["kg_max_message_size"] or LARGEST, LARGEST)
