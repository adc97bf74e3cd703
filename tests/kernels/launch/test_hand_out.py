"""A kernel that waits, and is given to a user. tests/e2e/test_hand_out.py has real ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kg2at_personality.kernels.kernel import GatewayKernel
from kg2at_personality.kernels.launch.hand_out import HandOut
from kg2at_personality.kernels.launch.plan import HandOutFailed
from kg2at_personality.kernels.provisioner import SparkProvisioner
from kg2at_personality.kernels.timing import Timing
from tests.fakes.toree import FakeSpark, start
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
FIRST = {"KERNEL_USERNAME": ""}


class Waiting:
    """A Toree that answers, and a launch for a user."""

    def __init__(self, gateway: Any, kernel: GatewayKernel) -> None:
        self.gateway, self.kernel = gateway, kernel
        self.kind, self.client = kernel.kind, kernel.own_client
        self.supplies = gateway.app.kernel_manager.supplies

    @classmethod
    async def begin(cls, gateway: Any, **env: str) -> Waiting:
        _, kernel = await start(gateway, env=env)
        await kernel.answered()
        return cls(gateway, kernel)

    async def give(self, **requested: str) -> None:
        """Give it to the user who sends this."""
        plan = await self.supplies.plan("apache_toree_scala", requested)
        env = self.supplies.environment(self.kernel.kernel_id, requested)
        assert await self.kind.misfit(plan, env, None) == ""
        await self.kind.hand_out(self.client, plan, env, None)

    async def misfit(self, cwd: str | None = None, **requested: str) -> str:
        plan = await self.supplies.plan("apache_toree_scala", requested)
        return await self.kind.misfit(plan, self.supplies.environment(self.kernel.kernel_id, requested), cwd)


async def test_it_takes_what_is_its_users(gateway: Any, spark: FakeSpark) -> None:
    waiting = await Waiting.begin(gateway)
    assert await waiting.kind.warm_up(waiting.client) and spark.warmed(waiting.kernel.kernel_id)
    spark.defaults("spark.my.password hush", "spark.executor.memory 2g")
    await waiting.give(KERNEL_MARK="mine", KERNEL_SPARK_CORES_MAX="2")
    taken = spark.taken(waiting.kernel.kernel_id)
    assert taken is not None
    assert taken["properties"]["spark.my.password"] == "hush"
    assert taken["properties"]["spark.executor.memory"] == "2048m" and taken["properties"]["spark.cores.max"] == "2"
    assert taken["properties"]["spark.app.name"].endswith(waiting.kernel.kernel_id)
    assert (taken["env"]["KERNEL_MARK"], taken["env"]["KERNEL_ID"]) == ("mine", waiting.kernel.kernel_id)
    assert f"kernel-{waiting.kernel.kernel_id}.environment" not in spark.left()
    assert waiting.kind.redactor().text("hush") != "hush"


async def test_its_files_are_written_when_it_has_read_those_of_its_start(
    gateway: Any, spark: FakeSpark, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes what is different in them, and its user may come before its first cell has ended."""
    waiting, go, real = await Waiting.begin(gateway), asyncio.Event(), HandOut._run
    written: list[bool] = []
    write = SparkProvisioner._write_files

    async def run(hand_out: HandOut, code: str) -> bool:
        await go.wait()
        return await real(hand_out, code)

    def write_files(*arguments: Any) -> Any:
        written.append(go.is_set())
        return write(*arguments)

    monkeypatch.setattr(HandOut, "_run", run)
    monkeypatch.setattr(SparkProvisioner, "_write_files", write_files)
    warming = asyncio.ensure_future(waiting.kind.warm_up(waiting.client))
    await asyncio.sleep(0)
    warming.cancel()
    giving = asyncio.ensure_future(waiting.give(KERNEL_MARK="mine"))
    asyncio.get_running_loop().call_later(0.3, go.set)
    await giving
    assert written == [True] and spark.taken(waiting.kernel.kernel_id) is not None


async def test_it_is_given_once(gateway: Any, spark: FakeSpark) -> None:
    waiting = await Waiting.begin(gateway)
    await waiting.kind.warm_up(waiting.client)
    await waiting.give()
    with pytest.raises(HandOutFailed, match="does not wait"):
        await waiting.give()


async def test_one_that_nobody_prepared_is_given_to_nobody(gateway: Any, spark: FakeSpark) -> None:
    waiting = await Waiting.begin(gateway)
    with pytest.raises(HandOutFailed, match="does not wait"):
        await waiting.give()


class TestFailure:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return settings

    @pytest.mark.parametrize(("takes", "why"), [("error", "IOException"), ("die", "it died"), ("hang", "within 1 s")])
    async def test_it_is_told(self, gateway: Any, spark: FakeSpark, takes: str, why: str) -> None:
        waiting = await Waiting.begin(gateway)
        gateway.app.kernel_manager.timing = Timing(hand_out_limit=1)
        await waiting.kind.warm_up(waiting.client)
        spark.defaults(f"spark.fake.takes {takes}")
        with pytest.raises(HandOutFailed, match=why):
            await waiting.give()
        assert not [name for name in spark.left() if name.endswith(".environment")]

    @pytest.mark.parametrize("warms", ["error", "die"])
    async def test_a_cell_that_fails_makes_it_good_for_nobody(self, gateway: Any, spark: FakeSpark, warms: str) -> None:
        spark.defaults(f"spark.fake.warms {warms}")
        waiting = await Waiting.begin(gateway)
        assert not await waiting.kind.warm_up(waiting.client)
        with pytest.raises(HandOutFailed):
            await waiting.give()


async def test_a_user_who_comes_early_waits_for_the_cell_that_runs(gateway: Any, spark: FakeSpark) -> None:
    spark.defaults("spark.fake.warms hang")
    waiting = await Waiting.begin(gateway)
    gateway.app.kernel_manager.timing = Timing(hand_out_limit=0.5)
    warming = asyncio.create_task(waiting.kind.warm_up(waiting.client))
    await until(lambda: spark.warmed(waiting.kernel.kernel_id) == 1, "a cell")
    warming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await warming
    with pytest.raises(HandOutFailed, match="within"):
        await waiting.give()
    assert spark.taken(waiting.kernel.kernel_id) is None


class TestMisfit:
    async def test_what_a_user_may_choose_fits(self, gateway: Any, spark: FakeSpark, monkeypatch: Any) -> None:
        waiting = await Waiting.begin(gateway)
        monkeypatch.setenv("ANY_OTHER", "1")
        spark.defaults("spark.executor.memory 2g", "spark.my.password hush", "spark.sql.shuffle.partitions 3")
        assert await waiting.misfit(KERNEL_SPARK_CORES_MAX="3", KERNEL_USERNAME="ann") == ""

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            ("spark.driver.memory 2g", "spark.driver.memory is 2048m, the one that waits has 1024m"),
            ("spark.jars.packages a:b:1", "spark.jars.packages is a:b:1, the one that waits has unset"),
            ("spark.driver.extraJavaOptions -Dmy.password=hush", "spark.driver.extraJavaOptions is another"),
        ],
    )
    async def test_what_only_a_start_sets(self, gateway: Any, spark: FakeSpark, line: str, why: str) -> None:
        waiting = await Waiting.begin(gateway)
        spark.defaults(line)
        assert await waiting.misfit() == why
        with pytest.raises(HandOutFailed):
            plan = await waiting.supplies.plan("apache_toree_scala", {})
            await waiting.kind.hand_out(waiting.client, plan, waiting.supplies.environment("x", {}), None)

    async def test_variables_by_their_names(self, gateway: Any, spark: FakeSpark, monkeypatch: Any) -> None:
        waiting = await Waiting.begin(gateway)
        monkeypatch.setenv("LC_TIME", "hush")
        monkeypatch.setenv("HADOOP_CONF_DIR", "hush")
        assert await waiting.misfit() == "$HADOOP_CONF_DIR and $LC_TIME are others"
