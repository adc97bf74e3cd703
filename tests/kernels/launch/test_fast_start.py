from __future__ import annotations

from glob import glob
from typing import Any

import pytest

from kg2at_personality.kernels.launch.fast_start import tuning
from tests.fakes.toree import QUICK, FakeSpark, start

pytestmark = pytest.mark.gen_test(timeout=60)


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return QUICK | {"KG2ATPersonality": {"cache_dir": str(tmp_path_factory.mktemp("c")), "niceness": 1}}


async def test_java_is_run_by_itself(gateway: Any, spark: FakeSpark, settings: dict[str, Any]) -> None:
    spark.launch_by_java()
    spark.defaults("spark.driver.memory 700m", "spark.driver.extraJavaOptions -Dmy.password=hush -Da='b c'")
    kernel_id, kernel = await start(gateway)
    await kernel.answered()
    argv = (await spark.launched(kernel_id))["argv"]
    [rest] = glob(settings["KG2ATPersonality"]["cache_dir"] + "/*/rest.jar")
    assert argv[1:3] == ["-cp", f"{spark.root}/spark/jars/*:{rest}:{spark.conf}/"]
    assert argv[3:6] == ["-Xmx700m", "-XX:+UseParallelGC", "-XX:GCTimeRatio=19"]
    assert argv[6:8] == ["-Xms256m", "-XX:Tier3DelayOn=0"] and f"@{spark.runtime}/kernel-{kernel_id}.javaopts" in argv
    assert rest.replace("rest.jar", "slim.jar") in argv and "hush" not in " ".join(argv)
    assert await gateway.run(kernel_id, "print(6 * 7)") == "42\n"


@pytest.mark.parametrize(
    ("own", "memory", "collector", "compiler"),
    [
        (["-Da=b", ""], 4096, True, True),
        ([], 4097, False, True),
        (["-Da=b -XX:+UseG1GC"], 1024, False, True),
        (["", "-XX:-UseParallelGC"], 1024, False, True),
        (["-XX:G1HeapRegionSize=8m"], 1024, False, True),
        (["-XX:+UseGCOverheadLimit"], 1024, True, True),
        (["@/etc/java.options"], 1024, False, False),
        (["-Da=b@c"], 1024, True, True),
        (["-XX:Flags=/etc/flags"], 1024, False, False),
    ],
)
async def test_options_of_ones_own_decide(own: list[str], memory: int, collector: bool, compiler: bool) -> None:
    options = tuning(own, memory)
    assert ("-XX:+UseParallelGC" in options) == collector
    assert ("-XX:Tier3DelayOn=0" in options) == compiler


async def test_spark_submit_is_run_where_it_must_be(gateway: Any, spark: FakeSpark, caplog: Any) -> None:
    gateway.app.log.propagate = True
    spark.launch_by_java()
    spark.defaults("spark.driver.extraClassPath /a.jar")
    lines: list[int] = []
    for _ in range(2):
        kernel_id, kernel = await start(gateway)
        assert (await spark.launched(kernel_id))["argv"][1] == "--properties-file"
        await kernel.answered()
        lines.append(caplog.text.count("than they could: spark.driver.extraClassPath is set"))
    assert lines[0] == lines[1] > 0, "it is said once"
