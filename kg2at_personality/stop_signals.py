"""SIGTERM, SIGQUIT and SIGINT end the gateway, whatever it is doing."""

from __future__ import annotations

from kernel_gateway.gatewayapp import KernelGatewayApp

from .system.interrupt_signal import let_children_be_interrupted
from .web.library_internals import replace_signal_handler


def stop_by_signals(app: KernelGatewayApp) -> None:
    """Have the loop stop the gateway when one of them comes. Called before Kernel Gateway sets its handler.

    That one logs at once. While a line of the log is being written, logging raises RuntimeError ("reentrant call" in
    CPython's bufferedio.c), the signal is lost, and the gateway goes on.
    """

    def stop(signum: int) -> None:
        app.log.critical("received signal %s, stopping", signum)
        app.stop()

    def handle(signum: int, frame: object) -> None:
        app.io_loop.asyncio_loop.call_soon_threadsafe(stop, signum)

    replace_signal_handler(app, handle)
    # Where there is no terminal to confirm it, SIGINT ends the gateway as SIGTERM does, with all its kernels.
    let_children_be_interrupted(handle)
