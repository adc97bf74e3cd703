"""Kernels that start with the gateway, before anybody asks for one."""

from __future__ import annotations

import asyncio

from ..errors import KG2ATError, SeedFailed
from .manager import GatewayKernelManager


async def prespawn(manager: GatewayKernelManager, count: int) -> None:
    """Start `count` kernels; without any, one in which the seed notebook is tried. The log tells once what fails."""
    if not count and manager.seeding.seed is not None:
        await _try_seed(manager, manager.seeding.seed.kernel_name)
    results = await asyncio.gather(
        *(manager.start_kernel(kernel_name=manager.seed_kernelspec) for _ in range(count)), return_exceptions=True
    )
    for problem in dict.fromkeys(str(result) for result in results if isinstance(result, BaseException)):
        manager.log.error("A prespawned kernel did not start: %s", problem)


async def _try_seed(manager: GatewayKernelManager, kernel_name: str) -> None:
    """Run the seed notebook in a kernel of its own, so that whoever starts the gateway learns what fails."""
    try:
        await manager.shutdown_kernel(await manager.start_kernel(kernel_name=kernel_name))
    except SeedFailed as error:
        manager.log.error("No kernel %s starts until this is mended. %s", kernel_name, error)
    except KG2ATError as error:
        manager.log.warning("The seed notebook could not be tried: %s", error)
