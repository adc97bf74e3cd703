"""jupyter_client's manager of one kernel, with a public name for each of its private ones that kg2at needs.

It holds nothing of kg2at's own; all private names of jupyter_client's and jupyter_server's kernels stand here, and in
the methods that GatewayKernel overrides. tests/test_library_contracts.py lists them.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from zmq.eventloop.zmqstream import ZMQStream

if TYPE_CHECKING:
    # The base class of Kernel Gateway's, which has no types of its own.
    from jupyter_client.ioloop import AsyncIOLoopKernelManager as KernelGatewayIOLoopKernelManager
else:
    from kernel_gateway.services.kernels.manager import KernelGatewayIOLoopKernelManager


def unobserved_future() -> asyncio.Future[None]:
    """Return a future whose exception nobody has to look at."""
    return unobserved(asyncio.get_running_loop().create_future())


def unobserved(future: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """Return the future; nobody has to look at its exception from now on."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def receiver(stream: ZMQStream) -> Callable[[list[Any]], object]:
    """Return what a stream calls with each message (ZMQStream._recv_callback), which pyzmq lets one only set."""
    callback: Any = stream._recv_callback
    found: Callable[[list[Any]], object] = callback
    return found


class JupyterKernel(KernelGatewayIOLoopKernelManager):
    """Kernel Gateway's manager of one kernel."""

    #: Set by jupyter_server's manager (MappingKernelManager.start_watching_activity).
    _activity_stream: ZMQStream
    last_activity: datetime

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._info: dict[str, Any] | None = None

    # Its start. jupyter_client's own is decorated by in_pending_state, which sleeps 10 ms for the tests of the library.

    @property
    def launch_args(self) -> dict[str, Any]:
        """Return the arguments of its last start, which are those of its next one; {} before the first."""
        return self._launch_args or {}

    @contextmanager
    def pending(self) -> Iterator[None]:
        """Tell others of the end of a launch, or its exception, by the future KernelManager.ready."""
        ready = self._ready = unobserved_future()
        try:
            yield
        except Exception as error:
            ready.set_exception(error)
            raise
        ready.set_result(None)

    async def launch_process(self, **kwargs: Any) -> None:
        """Write the connection file, launch a process and look after it."""
        await AsyncKernelManager._async_start_kernel.__wrapped__(self, **kwargs)  # type: ignore[attr-defined]

    async def replace_process(self, now: bool, **kwargs: Any) -> None:
        """Shut down and start again, on the same ports."""
        await super()._async_restart_kernel(now=now, newports=False, **kwargs)

    def resume(self, launch_args: dict[str, Any]) -> None:
        """Have the state of a kernel that was started with `launch_args`; its connection file is there."""
        self._connection_file_written = self._attempted_start = True
        self._launch_args = launch_args
        with self.pending():
            pass  # it is ready at once

    def replace_spec(self, spec: KernelSpec) -> None:
        """Use this kernelspec, whatever the name of the kernel says."""
        self._kernel_spec = spec

    @property
    def has_connection_file(self) -> bool:
        """Return whether its connection file was written, which a restart would keep (ConnectionFileMixin)."""
        return bool(self._connection_file_written)

    # Its end.

    async def shut_down_process(self, now: bool, restart: bool = False) -> None:
        """Interrupt it, ask it to end, send SIGTERM and SIGKILL; `now`: SIGKILL at once."""
        await AsyncKernelManager._async_shutdown_kernel.__wrapped__(  # type: ignore[attr-defined]
            self, now=now, restart=restart
        )

    async def kill_process(self) -> None:
        """Send SIGKILL, and wait a while for its end."""
        await self._async_kill_kernel()

    def keep_connection_file(self) -> None:
        """Keep the file that KernelManager would remove when Python ends."""
        self._connection_file_written = False

    def tell_of_death(self) -> None:
        """Tell the open websockets that the kernel is dead."""
        if self._restarter is not None:
            self._restarter._fire_callbacks("dead")

    # What it publishes, and what it said of itself.

    @property
    def activity_stream(self) -> ZMQStream:
        """Return the socket that jupyter_server's manager hears it by, and hands to nobody."""
        return self._activity_stream

    @property
    def is_heard(self) -> bool:
        """Return whether there is an `activity_stream`: it is set when the kernel is listed."""
        return getattr(self, "_activity_stream", None) is not None

    @property
    def traceback_replacement_message(self) -> str:
        """Return the manager's, which jupyter_server looks for here (ZMQChannelsWebsocketConnection._on_error)."""
        manager: Any = self.parent
        return str(manager.traceback_replacement_message)

    @property
    def info(self) -> dict[str, Any] | None:
        """Return its kernel_info_reply; None before its first answer."""
        return self._info

    def remember_info(self, info: dict[str, Any]) -> None:
        """Keep its kernel_info_reply where jupyter_server's connections look for it, so that none asks again."""
        self._info = info
        self._kernel_info_future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._kernel_info_future.set_result(info)

    def forget_info(self) -> None:
        """Called before each launch: the next process may say something else of itself."""
        self._info = None
        self.__dict__.pop("_kernel_info_future", None)
