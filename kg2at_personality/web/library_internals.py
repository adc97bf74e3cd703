"""Every name of jupyter_server, kernel_gateway and tornado that `web` uses though they do not document it.

Each function says which name that is and why no documented one does the same. Nothing else in `web` uses such a name.
tests/test_library_contracts.py lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from socket import socket
from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from kernel_gateway.gatewayapp import KernelGatewayApp
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from ..kernels.manager import GatewayKernelManager
from ..kernels.output_buffer import OutputBuffer

# kernel_gateway, KernelGatewayApp.init_webapp: tornado's settings have its own as `kg_` + name, and the personality's.


def gateway_setting(handler: RequestHandler, name: str) -> Any:
    """Return a setting that the gateway began with, by its name on the command line; or its `personality`."""
    return handler.settings[f"kg_{name}"]


# kernel_gateway, KernelGatewayApp: `init_signal` and `start` both set its own handler, and ask nobody.


def replace_signal_handler(app: KernelGatewayApp, handle: Callable[[int, object], None]) -> None:
    """Have Kernel Gateway set `handle` where it would set its own (`_signal_stop`)."""
    app._signal_stop = handle


# jupyter_server, MappingKernelManager: `_kernel_buffers` holds what kernels send while no websocket is open.
# `get_buffer` would do, but ZMQChannelsWebsocketConnection.connect calls it, and sends all in one turn of the loop.


def exchange_buffer(
    manager: GatewayKernelManager, kernel_id: str, session_key: str, buffer: OutputBuffer
) -> OutputBuffer:
    """Put `buffer` in the place of what waits for a session, and return the latter; `buffer` when nothing waits."""
    buffers = manager._kernel_buffers
    if kernel_id not in buffers or buffers[kernel_id]["session_key"] != session_key:
        return buffer
    waiting: OutputBuffer = buffers[kernel_id]["buffer"]
    buffers[kernel_id]["buffer"] = buffer
    return waiting


def keep_buffer(manager: GatewayKernelManager, kernel_id: str, buffer: OutputBuffer) -> None:
    """Let what the kernel sends next wait in `buffer`, behind what is there. No-op while a websocket is open."""
    # jupyter_server gives each new buffer an empty list (start_buffering).
    if kernel_id in manager._kernel_buffers:
        manager._kernel_buffers[kernel_id]["buffer"] = buffer


# jupyter_server, ZMQChannelsWebsocketConnection: parts of `handle_outgoing_message` and `disconnect`, which do more.


def forget_websocket(connection: ZMQChannelsWebsocketConnection) -> None:
    """Take a websocket that failed to open from those that `close_all` closes (`_open_sockets`)."""
    connection._open_sockets.discard(connection)


def is_over_rate_limit(connection: ZMQChannelsWebsocketConnection, channel: str, parts: list[Any]) -> bool:
    """Return whether a message exceeds iopub_msg_rate_limit or iopub_data_rate_limit, and count it (`_limit_rate`).

    `parts` are header, parent header, metadata, content, buffers. Raises ValueError, LookupError or TypeError for a
    malformed message.
    """
    return bool(connection._limit_rate(channel, _unparsed(), parts))


def hide_traceback(
    connection: ZMQChannelsWebsocketConnection, channel: str, parts: list[Any], message: dict[str, Any] | None = None
) -> None:
    """Replace an error's traceback in `message`, or in `parts` for the v1 protocol (`_on_error`).

    No-op if the manager's `allow_tracebacks` is set. Raises as `is_over_rate_limit`.
    """
    connection._on_error(channel, message or _unparsed(), parts)


def serialized(connection: ZMQChannelsWebsocketConnection, channel: str, message: dict[str, Any]) -> str | bytes:
    """Return the frame of the older websocket protocol for a message (`_reserialize_reply`)."""
    frame: str | bytes = connection._reserialize_reply(message, channel=channel)
    return frame


def _unparsed() -> dict[str, Any]:
    """Return a message whose parts jupyter_server parses when it needs them (`get_part`)."""
    return {"header": None, "parent_header": None, "content": None}


# jupyter_server, JupyterHandler.prepare: `current_user` raises before there is one, and so does not tell of nobody.


def is_nobody(handler: RequestHandler) -> bool:
    """Return whether the identity provider was asked who has sent a request, and knows nobody."""
    return getattr(handler, "_jupyter_current_user", handler) is None


# tornado, RequestHandler: a method that a handler does not have is this one. What tornado answers then lacks `Allow`.

LACKING_METHOD = RequestHandler._unimplemented_method

# tornado: its requests and servers do not hand out their sockets.


def is_disconnected(request: HTTPServerRequest) -> bool:
    """Return whether the client has closed the request's connection (HTTP1Connection.stream)."""
    connection: Any = request.connection
    return bool(connection.stream.closed())


def local_address(request: HTTPServerRequest) -> str | None:
    """Return this machine's address at which the request arrived; None when its connection is closed."""
    connection: Any = request.connection
    try:
        return str(connection.stream.socket.getsockname()[0])
    except (OSError, AttributeError):
        return None


def listening_sockets(server: HTTPServer) -> Iterable[socket]:
    """Return the sockets that a server listens on (TCPServer._sockets)."""
    return server._sockets.values()
