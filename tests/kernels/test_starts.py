"""The bounds of two users, whatever comes of their kernels and in whichever order."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from tornado.web import HTTPError

from kg2at_personality.errors import KG2ATError, ShareUsed, TooManyKernels
from kg2at_personality.kernels.kernel import GatewayKernel
from kg2at_personality.kernels.manager import GatewayKernelManager
from kg2at_personality.kernels.user import ADMINISTRATOR, GatewayUser
from tests.fakes.master import FakeMaster
from tests.fakes.master_server import MasterServer
from tests.fakes.processes import kill, runs
from tests.fakes.toree import FakeSpark
from tests.fakes.wait import until
from tests.kernels.warm_scene import EAGER, NAME, SETTINGS, check_nothing_is_left, filled_once

pytestmark = [pytest.mark.gen_test(timeout=200), pytest.mark.timeout(240)]
#: Everybody's bound is 2 kernels; bob has bounds of his own.
ANN, BOB = GatewayUser("ann"), GatewayUser("bob", max_kernels=3, max_cores=4)
KERNELS, CORES = {"ann": 2, "bob": 3}, {"ann": 3, "bob": 4}


@pytest.fixture
def server() -> MasterServer:
    """Return a master with more cores than both may have."""
    master = FakeMaster()
    master.add_worker(16, 32 * 1024)
    return MasterServer(master)


@pytest.fixture
def settings(server: MasterServer) -> dict[str, Any]:
    own = {"max_kernels_per_user": 2, "max_cores_per_user": 3, "master_url": server.url}
    return SETTINGS | {"KG2ATPersonality": SETTINGS["KG2ATPersonality"] | own}


@pytest.fixture
def manager(gateway: Any, spark: FakeSpark) -> GatewayKernelManager:
    found: GatewayKernelManager = gateway.app.kernel_manager
    found.timing = EAGER
    spark.defaults("spark.cores.max 1", master="spark://h:7077")
    return found


async def restart(manager: GatewayKernelManager, kernel_id: str, user: GatewayUser) -> None:
    """As POST /api/kernels/ID/restart does."""
    with manager.starts.restarting(manager.get_kernel(kernel_id), user):
        await manager.restart_kernel(kernel_id)


class History:
    """Does at random what clients and processes do, and sees that the bounds hold all the time."""

    def __init__(self, seed: int, manager: GatewayKernelManager, spark: FakeSpark) -> None:
        self.random, self.manager, self.spark = random.Random(seed), manager, spark
        self.tasks: list[asyncio.Task[Any]] = []
        self.refused: Counter[str] = Counter()

    def begin(self, work: Any, *args: Any, **kwargs: Any) -> None:
        self.tasks.append(asyncio.ensure_future(self.quietly(partial(work, *args, **kwargs))))

    async def quietly(self, work: Callable[[], Awaitable[Any]]) -> None:
        """What a client is told when another one has ended its kernel is not what this is about."""
        with suppress(KG2ATError, HTTPError, KeyError):
            await work()

    async def start(self, user: GatewayUser) -> None:
        env = {"KERNEL_SPARK_CORES_MAX": str(self.random.choice((1, 1, 2)))}
        try:
            await self.manager.start_kernel(kernel_name=NAME, env=env, user=user)
        except (TooManyKernels, ShareUsed) as error:
            self.refused[type(error).__name__] += 1
            raise

    def step(self) -> None:
        """Do one thing; none of it is waited for."""
        kernels, does = self.manager.kernels(), self.random.random()
        if does < 0.15 and self.tasks:
            self.random.choice(self.tasks).cancel()
        elif does < 0.55 and kernels:
            kernel = self.random.choice(kernels)
            if does < 0.30:
                self.begin(self.manager.shutdown_kernel, kernel.kernel_id, now=True)
            elif does < 0.45 and kernel.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(kernel.pid, signal.SIGKILL)
            else:
                user = next(each for each in (ANN, BOB) if each.name == kernel.owner)
                self.begin(restart, self.manager, kernel.kernel_id, user=user)

    def check(self) -> None:
        """Whatever runs or is being started is within the bounds, and is as many as the queue of cores knows."""
        living = [each for each in self.manager.kernels() if not each.is_dead]
        ids = {each.kernel_id: each.owner for each in living}
        ids |= {start.kernel_id: start.user.name for start in self.manager.starts._starts.values()}
        owners = Counter(ids.values())
        assert all(owners[name] <= bound for name, bound in KERNELS.items()), owners
        cores: Counter[str] = Counter()
        for row in self.leases():
            cores[row["user"]] += row["cores"]
        assert all(cores[name] <= bound for name, bound in CORES.items()), cores
        assert set(owners) <= {"ann", "bob"} and set(cores) <= {"ann", "bob"}

    def leases(self) -> list[dict[str, Any]]:
        return [
            {"kernel": lease.kernel_id, "user": lease.user, "cores": lease.cores}
            for queue, _ in self.manager.clusters._queues.values()
            for lease in queue._leases.held
        ]

    def holders(self) -> set[str]:
        return {row["kernel"] for row in self.leases()}

    async def play(self, starts: int) -> None:
        for _ in range(starts):
            self.begin(self.start, self.random.choice((ANN, BOB)))
            for _ in range(self.random.randrange(4)):
                await asyncio.sleep(self.random.choice((0, 0, 0.01, 0.05)))
                self.check()
            self.step()
            self.check()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.check()
        # One that has just died gives its cores back when its processes are seen to be gone.
        await until(lambda: self.holders() == {each.kernel_id for each in self.manager.living_kernels()}, self.holders)

    async def end_all(self) -> None:
        await self.manager.settle()
        ids = [each.kernel_id for each in self.manager.kernels()]
        await asyncio.gather(*(self.manager.shutdown_kernel(kernel_id, now=True) for kernel_id in ids))
        await self.manager.settle()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_bounds_of_two_users_hold_in_every_history_and_nothing_leaks(
    manager: GatewayKernelManager, spark: FakeSpark, server: MasterServer, seed: int
) -> None:
    async with server:
        history = History(seed, manager, spark)
        manager.warm_refill.open()
        await history.play(50)
        assert history.refused["TooManyKernels"] > 0, "nobody ever met the bound"
        await history.end_all()
        assert history.leases() == []
        for user in (ANN, BOB):  # as many as may be, and no more
            ids = [await manager.start_kernel(kernel_name=NAME, env={}, user=user) for _ in range(KERNELS[user.name])]
            with pytest.raises(TooManyKernels, match=f"{user.name} has {KERNELS[user.name]} kernels"):
                await manager.start_kernel(kernel_name=NAME, env={}, user=user)
            assert len(set(ids)) == KERNELS[user.name]
        await manager.warm_refill.close()
        await history.end_all()
        await asyncio.gather(*manager.warm_pool.end_all().values())
        check_nothing_is_left(manager, spark)


async def test_kernels_that_wait_for_users_are_nobodys(
    manager: GatewayKernelManager, spark: FakeSpark, server: MasterServer
) -> None:
    async with server:
        await filled_once(manager)
        ids = [await manager.start_kernel(kernel_name=NAME, env={}, user=ANN) for _ in range(2)]
        assert [manager.get_kernel(each).warm_reason == "" for each in ids] == [True, False]
        with pytest.raises(TooManyKernels) as raised:
            await manager.start_kernel(kernel_name=NAME, env={}, user=ANN)
        assert "ann has 2 kernels, and may have 2 (max_kernels_per_user)" in str(raised.value)
        await manager.start_kernel(kernel_name=NAME, env={}, user=BOB)
        for _ in range(3):  # whoever has the one token has no bound of this kind
            await manager.start_kernel(kernel_name=NAME, env={}, user=ADMINISTRATOR)


async def die(kernel: GatewayKernel) -> None:
    """Have it die once too often."""
    await kernel.answered()
    await until(lambda: kernel.execution_state == "idle", "the end of its first work")
    kernel.stop_restarter()
    kill(kernel.pid)
    await kernel.mark_dead("It died.")
    await until(lambda: kernel.is_dead, lambda: kernel.execution_state)


async def test_a_dead_kernel_leaves_its_place_and_can_come_back_only_to_a_free_one(
    manager: GatewayKernelManager, spark: FakeSpark, server: MasterServer
) -> None:
    async with server:
        first, _ = [await manager.start_kernel(kernel_name=NAME, env={}, user=ANN) for _ in range(2)]
        await die(manager.get_kernel(first))
        third = await manager.start_kernel(kernel_name=NAME, env={}, user=ANN)
        with pytest.raises(TooManyKernels, match="ann has 2 kernels"):
            await restart(manager, first, user=ANN)
        assert manager.get_kernel(first).is_dead
        await manager.shutdown_kernel(third, now=True)
        restarting = asyncio.ensure_future(restart(manager, first, user=ANN))
        with pytest.raises(TooManyKernels):
            await asyncio.sleep(0)
            await manager.start_kernel(kernel_name=NAME, env={}, user=ANN)
        await restarting
        assert not manager.get_kernel(first).is_dead
        assert manager.starts._limits._restarted == []


async def test_a_kernel_that_dies_while_it_is_restarted_keeps_its_place(
    manager: GatewayKernelManager, spark: FakeSpark, server: MasterServer
) -> None:
    async with server:
        first, _ = [await manager.start_kernel(kernel_name=NAME, env={}, user=ANN) for _ in range(2)]
        kernel = manager.get_kernel(first)
        async with kernel.lifecycle:
            restarts = [asyncio.ensure_future(restart(manager, first, user=ANN)) for _ in range(2)]
            await asyncio.sleep(0)
            await die(kernel)
            with pytest.raises(TooManyKernels, match="ann has 2 kernels"):
                await manager.start_kernel(kernel_name=NAME, env={}, user=ANN)
            restarts[0].cancel()
            await asyncio.wait(restarts[:1])
            with pytest.raises(TooManyKernels, match="ann has 2 kernels"):
                await manager.start_kernel(kernel_name=NAME, env={}, user=ANN)
        await restarts[1]
        assert [each.is_dead for each in manager.kernels()] == [False, False]
        assert manager.starts._limits._restarted == []


async def test_an_administrator_revives_another_users_kernel(
    manager: GatewayKernelManager, spark: FakeSpark, server: MasterServer
) -> None:
    async with server:
        ids = [await manager.start_kernel(kernel_name=NAME, env={}, user=ANN) for _ in range(2)]
        await die(manager.get_kernel(ids[0]))
        await manager.start_kernel(kernel_name=NAME, env={}, user=ANN)
        await restart(manager, ids[0], user=GatewayUser("root", is_admin=True, max_kernels=1))
        pids = [kernel.pid for kernel in manager.kernels()]
        await until(lambda: all(pid is not None and runs(pid) for pid in pids), "all run")
        with pytest.raises(TooManyKernels, match="ann has 3 kernels, and may have 2"):
            await manager.start_kernel(kernel_name=NAME, env={}, user=ANN)


async def test_a_bound_of_ones_own_is_heeded_when_a_dead_kernel_comes_back(
    manager: GatewayKernelManager, spark: FakeSpark, server: MasterServer
) -> None:
    """It has given back its cores, and is admitted anew."""
    async with server:
        env = {"KERNEL_SPARK_CORES_MAX": "4"}  # everybody's bound is 3
        kernel_id = await manager.start_kernel(kernel_name=NAME, env=env, user=BOB)
        await die(manager.get_kernel(kernel_id))
        assert not manager.clusters.holds(kernel_id)
        await restart(manager, kernel_id, BOB)
        assert manager.clusters.holds(kernel_id)
