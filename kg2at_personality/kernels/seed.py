"""The seed notebook (KernelGatewayApp.seed_uri): what a kernel of its kernelspec runs before anybody gets it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from ..errors import SeedFailed
from .kernel import GatewayKernel

#: Characters that are shown of what a cell failed with.
SHOWN = 400


class Seed:
    """The code cells of the notebook at `uri`, for kernels of the kernelspec `kernel_name`.

    Kernel Gateway's own way (SeedingMappingKernelManager.start_kernel) waits for ever for a kernel that dies in a cell,
    and does not tell which cell fails.
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


async def _problem(kernel: GatewayKernel, code: str) -> str | None:
    """Why `code` fails, without secrets; None when it does not."""
    request = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    reply = await kernel.reply("execute_request", request)
    if reply is None:
        return "the kernel died."
    try:
        said: dict[str, Any] = kernel.content(reply)
    except ValueError as error:
        return f"the kernel's answer is malformed: {error}."
    if said.get("status") == "ok":
        return None
    told = kernel.without_secrets(f"{said.get('ename')}: {said.get('evalue')}")
    return f"{textwrap.shorten(told, SHOWN, placeholder='...')}."
