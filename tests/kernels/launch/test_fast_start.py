from __future__ import annotations

from glob import glob
from typing import Any

import pytest

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
    assert argv[3:5] == ["-Xmx700m", f"@{spark.runtime}/kernel-{kernel_id}.javaopts"]
    assert rest.replace("rest.jar", "slim.jar") in argv and "hush" not in " ".join(argv)
    assert await gateway.run(kernel_id, "print(6 * 7)") == "42\n"


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
