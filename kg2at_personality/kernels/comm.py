"""One comm that the gateway opens in a kernel, to be answered by its end (docs of jupyter_client: Custom Messages)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .client import STATE_LOOKS, KernelClient


class Comm:
    """Is open in the kernel of `client` until the kernel closes it, which it does at once for a target it has not."""

    def __init__(self, client: KernelClient, target: str) -> None:
        self._client, self._target, self._id = client, target, uuid.uuid4().hex
        self._heard = asyncio.Event()
        self._end: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def open(self, data: dict[str, Any]) -> dict[str, Any] | None:
        """Open it, and return the data with which the kernel closes it; None when the process dies instead.

        Raises NoRoom.
        """
        kernel = self._client.kernel
        with self._listening():
            while not self._heard.is_set():
                if await self._client.reply("kernel_info_request") is None:
                    return None
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._heard.wait(), kernel.parent.timing.start_poll / STATE_LOOKS)
            content = {"comm_id": self._id, "target_name": self._target, "data": data}
            with self._client.question("comm_open", content):
                return await self._client.outcome(self._end)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Hear what the kernel publishes inside the block; what it does before it knows of that is lost."""
        stream = self._client.stream("iopub")
        stream.on_recv(self._hear)
        try:
            yield
        finally:
            stream.close()

    def _hear(self, parts: list[Any]) -> None:
        self._heard.set()
        try:
            kind, content = self._client.message(parts)
        except ValueError:
            return
        if kind == "comm_close" and content.get("comm_id") == self._id and not self._end.done():
            self._end.set_result(dict(content.get("data") or {}))
