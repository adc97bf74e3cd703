"""What is told of kernels' lives: each start, stop and death once, whatever comes in between."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from kg2at_personality.errors import ClusterBusy, KG2ATError, StartEnded, TooManyKernels
from kg2at_personality.kernels.journal import (
    BecameZombie,
    CoreWaitResult,
    Died,
    Entry,
    Journal,
    KernelFacts,
    RestartResult,
    Started,
    StartResult,
    Stopped,
)
from kg2at_personality.kernels.kernel import GatewayKernel
from kg2at_personality.kernels.manager import GatewayKernelManager
from kg2at_personality.kernels.outcomes import CANCELLED, DIED, STARTED, STOPPED, Outcome
from kg2at_personality.kernels.startup import Startup
from kg2at_personality.kernels.user import ADMINISTRATOR, GatewayUser
from tests.fakes.held_calls import HeldCalls
from tests.fakes.master import FakeMaster
from tests.fakes.master_server import MasterServer
from tests.fakes.processes import kill
from tests.fakes.toree import QUICK, FakeSpark
from tests.fakes.wait import until
from tests.kernels.warm_scene import EAGER, NAME, filled_once

ALICE = GatewayUser("alice")


class TestListeners:
    def test_what_one_raises_is_nobody_elses(self, caplog: pytest.LogCaptureFixture) -> None:
        journal, heard = Journal(logging.getLogger("tests.journal")), list[Entry]()

        def fails(entry: Entry) -> None:
            raise ValueError("a listener's own")

        journal.listen(fails)
        journal.listen(heard.append)
        entry = BecameZombie(KernelFacts("ID", "n", "", ""), "It outlives SIGKILL.")
        journal.tell(entry)
        assert heard == [entry] and "a listener's own" in caplog.text


class Diary:
    """What was told of a gateway's kernels."""

    def __init__(self, manager: GatewayKernelManager) -> None:
        self.entries = list[Any]()
        manager.lives.journal.listen(self.entries.append)

    def of(self, kind: type) -> list[Any]:
        return [entry for entry in self.entries if isinstance(entry, kind)]

    @property
    def kinds(self) -> list[str]:
        return [type(entry).__name__ for entry in self.entries]

    @property
    def outcomes(self) -> list[Outcome]:
        return [entry.outcome for entry in self.of(StartResult)]

    async def told(self, kind: type, count: int = 1) -> Any:
        await until(lambda: len(self.of(kind)) >= count, lambda: self.kinds)
        return self.of(kind)[count - 1]


@pytest.fixture
def manager(gateway: Any) -> GatewayKernelManager:
    found: GatewayKernelManager = gateway.app.kernel_manager
    return found


@pytest.fixture
def diary(manager: GatewayKernelManager) -> Diary:
    return Diary(manager)


@pytest.mark.gen_test(timeout=60)
class TestAStart:
    async def test_that_is_answered(self, manager: GatewayKernelManager, diary: Diary) -> None:
        kernel_id = await manager.start_kernel(kernel_name="python3", user=ALICE)
        assert diary.kinds == ["Started"], "it has not answered"
        end = await diary.told(StartResult)
        assert end.outcome == STARTED and not end.is_warm and 0 < end.seconds < 60
        assert end.kernel == KernelFacts(kernel_id, "python3", "alice", "alice", 0)
        assert end.kernel == diary.of(Started)[0].kernel

    async def test_its_user_is_whom_the_client_told(self, manager: GatewayKernelManager, diary: Diary) -> None:
        env = {"KERNEL_USERNAME": "x" * 1000}
        for user, expected in ((ADMINISTRATOR, "x" * 255), (ALICE, "alice")):
            await manager.start_kernel(kernel_name="python3", env=env, user=user)
            assert diary.of(Started)[-1].kernel.user == expected

    async def test_that_is_refused_before_it_has_anything(self, manager: GatewayKernelManager, diary: Diary) -> None:
        alices = await manager.start_kernel(kernel_name="python3", user=ALICE)
        manager.max_kernels_per_user = 1
        for kwargs, reason in (
            ({"kernel_name": "nope"}, "unknown_kernelspec"),
            ({"kernel_name": NAME, "env": {"KERNEL_SPARK_CORES_MAX": "lots"}}, "bad_request"),
            ({"kernel_name": "python3", "user": GatewayUser("bob"), "kernel_id": alices}, "id_taken"),
            ({"kernel_name": "python3", "user": ALICE}, "too_many_kernels"),
        ):
            with pytest.raises(KG2ATError) as raised:
                await manager.start_kernel(**kwargs)  # type: ignore[arg-type]
            end = diary.of(StartResult)[-1]
            assert (end.outcome, end.message) == (Outcome("refused", reason), str(raised.value))
        manager.starts.close()
        with pytest.raises(KG2ATError):
            await manager.start_kernel()
        assert diary.outcomes[-1] == Outcome("refused", "gateway_ends")

    async def test_that_fails_by_what_nobody_expects(
        self, manager: GatewayKernelManager, diary: Diary, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*args: Any) -> None:
            raise RuntimeError("a secret")

        monkeypatch.setattr(manager.supplies, "environment", fails)
        with pytest.raises(RuntimeError):
            await manager.start_kernel()
        [end] = diary.of(StartResult)
        assert end.outcome == Outcome("failed", "internal") and "secret" not in end.message

    async def test_whose_kernel_dies_before_it_answers(
        self, manager: GatewayKernelManager, diary: Diary, spark: FakeSpark
    ) -> None:
        spark.defaults("spark.fake.does die")
        kernel_id = await manager.start_kernel(user=ALICE)
        end = await diary.told(StartResult)
        assert end.outcome == DIED and end.message.startswith("The kernel died before it answered")
        assert diary.kinds == ["Started", "Died", "StartResult"] and diary.of(Died)[0].at_start
        await manager.shutdown_kernel(kernel_id, by=ALICE)
        assert not diary.of(Stopped)[0].had_lived

    async def test_whose_client_goes_before_the_launch(
        self, manager: GatewayKernelManager, diary: Diary, plans: HeldCalls
    ) -> None:
        plans.hold()
        start = asyncio.ensure_future(manager.start_kernel())
        await plans.reached()
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        plans.release()
        await manager.settle()
        assert diary.outcomes == [CANCELLED] and diary.kinds == ["StartResult"]

    async def test_whose_client_goes_while_it_is_launched(
        self, manager: GatewayKernelManager, diary: Diary, launches: HeldCalls, spark: FakeSpark
    ) -> None:
        launches.hold()
        start = asyncio.ensure_future(manager.start_kernel())
        await launches.reached()
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        launches.release()
        await manager.settle()
        assert diary.outcomes == [CANCELLED]
        assert diary.kinds in (["StartResult"], ["StartResult", "Started", "Stopped"])
        assert spark.living() == []

    @pytest.mark.parametrize("launched", [False, True])
    async def test_that_is_stopped(
        self, manager: GatewayKernelManager, diary: Diary, plans: HeldCalls, launches: HeldCalls, launched: bool
    ) -> None:
        held = launches if launched else plans
        held.hold()
        kernel_id = "1-2-3-4-5"
        start = asyncio.ensure_future(manager.start_kernel(kernel_id=kernel_id, user=ALICE))
        await held.reached()
        stops = [asyncio.ensure_future(manager.shutdown_kernel(kernel_id, by=ALICE)) for _ in range(2)]
        await until(lambda: kernel_id in manager.stops or all(stop.done() for stop in stops), "the stop")
        held.release()
        await asyncio.gather(*stops)
        with pytest.raises(StartEnded):
            await start
        assert diary.outcomes == [STOPPED]
        [stop] = diary.of(Stopped)
        assert (stop.by, stop.had_lived, stop.kernel.owner) == ("alice", False, "alice")

    async def test_that_is_stopped_before_it_answers(
        self, manager: GatewayKernelManager, diary: Diary, spark: FakeSpark
    ) -> None:
        spark.defaults("spark.fake.does hang")
        kernel_id = await manager.start_kernel()
        await manager.shutdown_kernel(kernel_id, now=True)
        await diary.told(StartResult)
        assert diary.outcomes == [STOPPED] and manager.lives._starts == {}
        assert diary.kinds == ["Started", "StartResult", "Stopped"] and not diary.of(Stopped)[0].had_lived

    async def test_by_a_kernel_that_waited(self, gateway: Any, manager: GatewayKernelManager, diary: Diary) -> None:
        manager.timing = EAGER
        manager.warm_refill._demand.options.kernels[NAME] = 1
        [waiting] = await filled_once(manager)
        assert diary.entries == [], "it is nobody's"
        assert await manager.start_kernel(kernel_name=NAME, env={}) == waiting
        end = await diary.told(StartResult)
        assert end.is_warm and end.outcome == STARTED and diary.of(Started)[0].is_warm


@pytest.mark.gen_test(timeout=60)
class TestCores:
    @pytest.fixture
    def server(self) -> MasterServer:
        master = FakeMaster()
        master.add_worker(4, 32 * 1024)
        return MasterServer(master)

    @pytest.fixture
    def settings(self, server: MasterServer) -> dict[str, Any]:
        return QUICK | {"KG2ATPersonality": {"master_url": server.url, "core_wait_timeout": 0.3}}

    async def test_a_wait(
        self, manager: GatewayKernelManager, diary: Diary, server: MasterServer, spark: FakeSpark
    ) -> None:
        spark.defaults("spark.cores.max 3", "spark.fake.does hang", master="spark://h:7077")
        async with server:
            first = await manager.start_kernel()
            with pytest.raises(ClusterBusy):
                await manager.start_kernel()
            waiter = asyncio.ensure_future(manager.start_kernel())
            await until(lambda: manager.clusters.status()[0]["queue"], "a wait")
            waiter.cancel()
            await asyncio.gather(waiter, return_exceptions=True)
            await manager.settle()
            waits = [(wait.outcome.kind, wait.outcome.reason) for wait in diary.of(CoreWaitResult)]
            assert waits == [("started", ""), ("refused", "cluster_busy"), ("cancelled", "")]
            assert diary.of(CoreWaitResult)[1].seconds >= 0.3
            assert diary.of(CoreWaitResult)[0].kernel.cores == diary.of(Started)[0].kernel.cores == 3
            assert [end.kind for end in diary.outcomes] == ["refused", "cancelled"]
            await manager.shutdown_kernel(first, now=True)
            stop = diary.of(Stopped)[0]
            assert stop.kernel.cores == 3 and 0 < stop.seconds < 60

    async def test_as_many_as_there_are_is_no_number(
        self, manager: GatewayKernelManager, diary: Diary, server: MasterServer, spark: FakeSpark
    ) -> None:
        spark.defaults("spark.cores.max 2147483647", "spark.fake.does hang", master="spark://h:7077")
        manager.clusters.policy = type(manager.clusters.policy)(core_check="off")
        await manager.start_kernel()
        assert diary.of(Started)[0].kernel.cores == 0


@pytest.mark.gen_test(timeout=60)
class TestAnEnd:
    async def test_one_that_is_asked_for_twice_is_told_once(self, manager: GatewayKernelManager, diary: Diary) -> None:
        kernel_id = await started(manager)
        await asyncio.gather(*(manager.shutdown_kernel(kernel_id, by=ALICE) for _ in range(3)))
        await manager.shutdown_kernel(kernel_id, by=ADMINISTRATOR)
        [stop] = diary.of(Stopped)
        assert (stop.by, stop.had_lived, stop.message) == ("alice", True, "")

    async def test_by_the_gateway(self, manager: GatewayKernelManager, diary: Diary) -> None:
        await started(manager)
        await manager.shutdown_all_kernels()
        assert [stop.by for stop in diary.of(Stopped)] == [None]

    async def test_a_death_after_which_it_is_restarted(self, manager: GatewayKernelManager, diary: Diary) -> None:
        kernel = manager.get_kernel(await started(manager))
        for count in (1, 2):
            kill(kernel.pid)
            death = await diary.told(Died, count)
            await kernel.answered()
            assert "SIGKILL" in death.message and death.is_restarted and not death.at_start and death.seconds == 0
        assert diary.kinds == ["Started", "StartResult", "Died", "Died"]

    async def test_deaths_until_it_is_restarted_no_more(
        self, manager: GatewayKernelManager, diary: Diary, spark: FakeSpark
    ) -> None:
        kernel = manager.get_kernel(await started(manager, NAME))
        spark.defaults("spark.fake.does die")
        kill(kernel.pid)
        await until(lambda: kernel.is_dead, "its death")
        deaths = [(death.is_restarted, death.at_start, death.seconds > 0) for death in diary.of(Died)]
        assert deaths == [(True, False, False), (False, False, True)]
        await manager.shutdown_kernel(kernel.kernel_id, by=ALICE)
        [stop] = diary.of(Stopped)
        assert not stop.had_lived and stop.seconds == 0, "its cores were counted at its death"

    async def test_one_that_dies_too_often_is_told_of_once_more(
        self, manager: GatewayKernelManager, diary: Diary
    ) -> None:
        kernel = manager.get_kernel(await started(manager))
        kernel.stop_restarter()
        kill(kernel.pid)
        manager._handle_kernel_died(kernel.kernel_id)
        manager.lives.died(kernel, "as the restarter takes it", restarted=kernel.launches)
        await until(lambda: kernel.is_dead, "its death")
        await manager.settle()
        [death] = diary.of(Died)
        assert not death.is_restarted and "again and again" in death.message

    async def test_a_death_during_a_stop_is_none(self, manager: GatewayKernelManager, diary: Diary) -> None:
        kernel = manager.get_kernel(await started(manager))
        async with kernel.lifecycle:  # as long as a restart is under way
            stop = asyncio.ensure_future(manager.shutdown_kernel(kernel.kernel_id, by=ALICE))
            await until(lambda: kernel.kernel_id in manager.lives._stopping, "the stop")
            await die(kernel)
        await stop
        assert diary.of(Died) == [] and [each.had_lived for each in diary.of(Stopped)] == [True]

    async def test_of_one_that_waited_for_a_user_is_nobodys(
        self, manager: GatewayKernelManager, diary: Diary, spark: FakeSpark
    ) -> None:
        manager.timing = EAGER
        manager.warm_refill._demand.options.kernels[NAME] = 1
        await filled_once(manager)
        [waiting] = manager.warm_pool.free
        await die(waiting.kernel)
        await asyncio.gather(*manager.warm_pool.end_all().values())
        assert diary.entries == []

    async def test_a_zombie(self, manager: GatewayKernelManager, diary: Diary, monkeypatch: Any) -> None:
        kernel = manager.get_kernel(await started(manager))

        shut_down = kernel.termination.shut_down

        async def is_not_seen_to_end(now: bool = False) -> bool:
            await shut_down(now)
            return False

        monkeypatch.setattr(kernel.termination, "shut_down", is_not_seen_to_end)
        await manager.shutdown_kernel(kernel.kernel_id)
        [zombie] = diary.of(BecameZombie)
        assert zombie.kernel.kernel_id == kernel.kernel_id and "SIGKILL" in zombie.message


@pytest.mark.gen_test(timeout=60)
class TestARestart:
    async def test_by_a_user(self, gateway: Any, manager: GatewayKernelManager, diary: Diary) -> None:
        kernel_id = await started(manager)
        assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart")).code == 200
        [restart] = diary.of(RestartResult)
        assert (restart.outcome, restart.by, restart.kernel.owner) == (STARTED, "", "alice")
        assert not diary.of(Died) and not diary.of(Stopped)

    async def test_that_is_refused(self, gateway: Any, manager: GatewayKernelManager, diary: Diary) -> None:
        kernel = manager.get_kernel(await started(manager))
        await die(kernel)
        manager.parent.web_app.settings["kg_max_kernels"] = 1  # type: ignore[attr-defined]
        await started(manager)
        assert (await gateway.ask("POST", f"/api/kernels/{kernel.kernel_id}/restart")).code == 403
        [restart] = diary.of(RestartResult)
        assert restart.outcome == Outcome("refused", "too_many_kernels")
        assert TooManyKernels.status == 403 and "max_kernels" in restart.message

    async def test_that_fails_is_a_death(
        self, gateway: Any, manager: GatewayKernelManager, diary: Diary, monkeypatch: Any
    ) -> None:
        kernel_id = await started(manager)

        async def fails(*args: Any, **kwargs: Any) -> None:
            raise PermissionError("may not")

        monkeypatch.setattr(Startup, "launch", fails)
        assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart")).code == 503
        assert [death.is_restarted for death in diary.of(Died)] == [False]
        assert diary.of(RestartResult)[0].outcome == Outcome("failed", "launch")


async def started(manager: GatewayKernelManager, name: str = "python3") -> str:
    """Start a kernel of alice's, and return its id when its start has come to its end."""
    kernel_id = await manager.start_kernel(kernel_name=name, user=ALICE)
    await until(lambda: kernel_id not in manager.lives._starts, "its first answer")
    return kernel_id


async def die(kernel: GatewayKernel) -> None:
    """Have a kernel die for good."""
    kernel.stop_restarter()
    kill(kernel.pid)
    await kernel.mark_dead("It died.")
