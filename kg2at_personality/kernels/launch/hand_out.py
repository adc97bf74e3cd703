"""How a process that waits is prepared for its user, and given to them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

from ...errors import NoRoom
from ..client import KernelClient, silent
from ..comm import Comm
from ..files import KernelFiles
from .plan import HandOutFailed, Runtime

#: The comm target of a process that waits. It serves once, and what it takes is in files: Jupyter's messages are for
#: everybody who has the kernel's key, and a kernel may log them.
TARGET = "kg2at.hand_out"


class HandOut:
    """The cells of one process that waits, and what it is given at last.

    A cell that runs when the user comes goes on to its end, and is waited for.
    """

    def __init__(self, runtime: type[Runtime], client: KernelClient, files: KernelFiles) -> None:
        self._runtime, self._client, self._files = runtime, client, files
        self._cell: asyncio.Task[bool] | None = None

    async def warm_up(self) -> bool:
        """Run the cells. Return False when the process dies meanwhile."""
        for code in (self._runtime.receiver(self._files), *self._runtime.warm_cells()):
            self._begin(code)
            if not await self._cell_ends():
                return False
        return True

    def _begin(self, code: str) -> None:
        self._cell = asyncio.create_task(self._run(code))

    async def _cell_ends(self) -> bool:
        return self._cell is not None and await asyncio.shield(self._cell)

    async def _run(self, code: str) -> bool:
        """Run a cell. Return False when the process dies meanwhile, or won't run it: then it is good for nobody."""
        kernel = self._client.kernel
        reply = self._client.reply("execute_request", silent(code))
        problem = await self._client.cell_problem(reply, kernel.parent.timing.warm_limit)
        if problem:
            kernel.log.warning("Kernel %s can't wait for a user: %s", kernel.kernel_id, problem)
        return problem == ""

    async def ready(self) -> None:
        """Wait for the cell that runs. Raises HandOutFailed.

        Called before the files are written anew: the first cell reads those of the start, to know what has changed.
        """
        if self._cell is None:
            self._begin(self._runtime.receiver(self._files))
        try:
            is_ready = await asyncio.wait_for(self._cell_ends(), self._limit)
        except asyncio.TimeoutError:
            raise HandOutFailed(f"it did not end within {self._limit:g} s what it is warmed with") from None
        if not is_ready:
            raise HandOutFailed("it can't be told whose it is")

    @property
    def _limit(self) -> float:
        return self._client.kernel.parent.timing.hand_out_limit

    async def give(self, before: Mapping[str, str], after: Mapping[str, str], cwd: str | None) -> None:
        """Have a process that is `ready`, with the environment `before`, take that of `after`, properties, directory.

        Raises HandOutFailed, also when the process dies meanwhile, and OSError.
        """
        try:
            self._files.write_environment(before, after)
            await asyncio.wait_for(self._give(cwd or os.getcwd()), self._limit)
        except asyncio.TimeoutError:
            raise HandOutFailed(f"it did not take what is its user's within {self._limit:g} s") from None
        except NoRoom as error:
            raise HandOutFailed(str(error)) from error
        finally:
            self._files.environment.unlink(missing_ok=True)

    async def _give(self, directory: str) -> None:
        answer = await Comm(self._client, TARGET).open({"directory": directory})
        if answer is None:
            raise HandOutFailed("it died while it took what is its user's")
        if answer.get("status") != "ok":
            raise HandOutFailed(f"it could not take what is its user's: {answer.get('error', 'it did not know how')}")
