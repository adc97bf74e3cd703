"""The seed notebook (KernelGatewayApp.seed_uri): what a kernel of its kernelspec runs before anybody gets it."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Coroutine, Sequence
from functools import cached_property
from typing import Any, Protocol

from ..errors import KG2ATError, SeedFailed
from .kernel import GatewayKernel

#: Characters that are shown of what a cell failed with.
SHOWN = 400


class Seed:
    """The code cells of the notebook at `uri`, for kernels of the kernelspec `kernel_name`.

    Kernel Gateway's own way (SeedingMappingKernelManager.start_kernel) waits for ever for a kernel that dies in a cell,
    and does not say which cell fails.
    """

    def __init__(self, uri: str, kernel_name: str, cells: Sequence[str]) -> None:
        self.uri, self.kernel_name, self.cells = uri, kernel_name, cells

    async def run(self, kernel: GatewayKernel) -> None:
        """Run each cell in turn. Raises SeedFailed, and KernelDied when the kernel dies before it answers."""
        await kernel.answered()
        for number, code in enumerate(self.cells, 1):
            problem = await _problem(kernel, code)
            if problem is not None:
                place = f"code cell {number} of {len(self.cells)} of the seed notebook {self.uri}"
                raise SeedFailed(f"In {place}, {problem} Please tell the administrator.")


class SeedOptions(Protocol):
    """What of KernelGatewayApp's traits the seed notebook is."""

    seed_notebook: Any
    seed_uri: str


class SeedHost(Protocol):
    """A manager, as the seed notebook sees it."""

    seed_kernelspec: str | None

    @property
    def parent(self) -> SeedOptions: ...
    def __contains__(self, kernel_id: str) -> bool: ...
    def get_kernel(self, kernel_id: str) -> GatewayKernel: ...
    def keep(self, work: Coroutine[Any, Any, None]) -> None: ...
    def refuse_when_closed(self) -> None: ...
    async def shutdown_kernel(self, kernel_id: str, now: bool = False) -> None: ...


class Seeding:
    """Runs the seed notebook in each new kernel that it is for."""

    def __init__(self, host: SeedHost) -> None:
        self._host = host
        #: The kernels in which it runs now, which nobody has got yet.
        self._kernel_ids: set[str] = set()

    def __len__(self) -> int:
        return len(self._kernel_ids)

    @cached_property
    def seed(self) -> Seed | None:
        """Return the seed notebook; None when there is none."""
        options = self._host.parent
        if options.seed_notebook is None:
            return None
        cells = [cell["source"] for cell in options.seed_notebook.cells if cell["cell_type"] == "code"]
        return Seed(options.seed_uri, str(self._host.seed_kernelspec), cells)

    async def run(self, kernel_id: str) -> None:
        """Run it in a new kernel, and end the kernel when that fails. No-op for a kernel of another kernelspec.

        Raises what Seed.run raises. Whoever cancels leaves no kernel behind.
        """
        kernel = self._host.get_kernel(kernel_id) if kernel_id in self._host else None
        seed = self.seed
        if kernel is None or seed is None or kernel.kernel_name != seed.kernel_name:
            return
        self._kernel_ids.add(kernel_id)
        try:
            self._host.refuse_when_closed()
            await seed.run(kernel)
        except KG2ATError:
            await self._host.shutdown_kernel(kernel_id, now=True)
            raise
        except BaseException:
            self._host.keep(self._host.shutdown_kernel(kernel_id, now=True))
            raise
        finally:
            self._kernel_ids.discard(kernel_id)

    async def end(self) -> None:
        """End the kernels in which it runs now."""
        await asyncio.gather(*(self._host.shutdown_kernel(kernel_id, now=True) for kernel_id in self._kernel_ids))


async def _problem(kernel: GatewayKernel, code: str) -> str | None:
    """Run `code`. Return why it fails, without secrets; None when it does not."""
    request = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    reply = await kernel.own_client.reply("execute_request", request)
    if reply is None:
        return "the kernel died."
    try:
        said: dict[str, Any] = kernel.own_client.content(reply)
    except ValueError as error:
        return f"the kernel's answer is malformed: {error}."
    if said.get("status") == "ok":
        return None
    told = kernel.console.without_secrets(f"{said.get('ename')}: {said.get('evalue')}")
    return f"{textwrap.shorten(told, SHOWN, placeholder='...')}."
