"""Restarts of kernels that die meanwhile, or that nobody waits for any more. tests/web has what notebooks see."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from kg2at_personality.errors import KernelDied
from kg2at_personality.kernels.kernel import GatewayKernel
from kg2at_personality.kernels.manager import GatewayKernelManager
from tests.fakes.held_calls import HeldCalls
from tests.fakes.master import FakeMaster
from tests.fakes.master_server import MasterServer
from tests.fakes.processes import kill, runs
from tests.fakes.toree import QUICK, FakeSpark, start
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)


@pytest.fixture
def server() -> MasterServer:
    master = FakeMaster()
    master.add_worker(4, 8 * 1024)
    return MasterServer(master)


@pytest.fixture
def settings(server: MasterServer) -> dict[str, Any]:
    return QUICK | {"KG2ATPersonality": {"master_url": server.url}}


@pytest.fixture
def manager(gateway: Any, spark: FakeSpark) -> GatewayKernelManager:
    spark.defaults("spark.cores.max 1", master="spark://h:7077")
    found: GatewayKernelManager = gateway.app.kernel_manager
    return found


async def ready(gateway: Any) -> GatewayKernel:
    """Return a kernel that has answered."""
    _, kernel = await start(gateway)
    await kernel.answered()
    found: GatewayKernel = kernel
    return found


async def check_it_runs(manager: GatewayKernelManager, kernel: GatewayKernel) -> None:
    await kernel.answered()
    assert not kernel.is_dead and kernel.pid is not None and runs(kernel.pid)
    assert manager.clusters.holds(kernel.kernel_id) and kernel._restarter is not None


async def test_whoever_cancels_it_leaves_the_old_process_or_a_new_one(
    gateway: Any, manager: GatewayKernelManager, server: MasterServer, plans: HeldCalls, launches: HeldCalls
) -> None:
    async with server:
        kernel = await ready(gateway)
        for held, is_new in ((plans, False), (launches, True)):
            held.hold()
            restarting, old = asyncio.ensure_future(manager.restart_kernel(kernel.kernel_id)), kernel.pid
            await held.reached()
            restarting.cancel()
            await asyncio.wait([restarting], timeout=0.1)
            held.release()
            await asyncio.wait([restarting])
            assert restarting.cancelled()
            await check_it_runs(manager, kernel)
            assert (kernel.pid != old) == is_new


async def test_it_waits_until_a_death_has_been_cleaned_up_and_gets_cores_of_its_own(
    gateway: Any, manager: GatewayKernelManager, server: MasterServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The death gives back the cores of the process that died; it must not take those of the next one."""
    async with server:
        kernel, goes_on = await ready(gateway), asyncio.Event()
        cleanup = kernel.cleanup_resources

        async def late(**kwargs: Any) -> None:
            await goes_on.wait()
            await cleanup(**kwargs)

        monkeypatch.setattr(kernel, "cleanup_resources", late)
        kill(kernel.pid)
        dying = asyncio.ensure_future(kernel.mark_dead("It died."))
        restarting = asyncio.ensure_future(manager.restart_kernel(kernel.kernel_id))
        await asyncio.wait([restarting], timeout=0.5)
        goes_on.set()
        await asyncio.gather(dying, restarting)
        await check_it_runs(manager, kernel)


async def test_a_death_right_after_it_is_told_once(
    gateway: Any, manager: GatewayKernelManager, server: MasterServer, spark: FakeSpark
) -> None:
    """asyncio would log a traceback of the future of jupyter_server's that tells of it as well."""
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    async with server:
        kernel = await ready(gateway)
        spark.defaults("spark.cores.max 1", "spark.fake.does die", master="spark://h:7077")
        await manager.restart_kernel(kernel.kernel_id)
        await until(lambda: kernel.is_dead, "its death")
        with pytest.raises(KernelDied):
            await kernel.answered()
        gc.collect()
    assert [each for each in told if "never retrieved" in each] == []


async def test_a_kernel_that_dies_meanwhile_is_restarted_once(
    gateway: Any, manager: GatewayKernelManager, server: MasterServer, plans: HeldCalls
) -> None:
    """Another restart, by what looks whether it lives, would end a process that a notebook uses already."""
    async with server:
        kernel = await ready(gateway)
        plans.hold()
        restarting = asyncio.ensure_future(manager.restart_kernel(kernel.kernel_id))
        await plans.reached()
        old = kernel.pid
        kill(old)
        await until(lambda: old is not None and not runs(old), "its death")
        assert kernel._restarter is not None
        looking = asyncio.ensure_future(kernel._restarter.poll())
        await asyncio.wait([looking], timeout=1.0)
        plans.release()
        await asyncio.gather(looking, restarting)
        await check_it_runs(manager, kernel)
        assert kernel.launches == 2
