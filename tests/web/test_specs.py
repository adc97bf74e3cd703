from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.toree import FakeSpark

SECRETS = [b"hush-hush-secret", b"spark-submit", b"connection_file"]


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"KG2ATPersonality": {"profiles": {"large": {"spark.cores.max": 8, "spark.executor.memory": "1536m"}}}}


async def specs(gateway: Any) -> Any:
    return json.loads((await gateway.ask("GET", "/api/kernelspecs")).body)


@pytest.mark.gen_test
async def test_the_listing(gateway: Any, environ: Path) -> None:
    (environ / "spark-defaults.conf").write_text(
        "spark.master spark://h:7077\nspark.hadoop.x.secret hush-hush-secret\n"
    )
    found = await specs(gateway)
    assert found["default"] == "apache_toree_scala"
    assert {"apache_toree_scala", "apache_toree_sql", "apache_toree_scala_large", "apache_toree_sql_large"} < set(
        found["kernelspecs"]
    )
    plain, large = (found["kernelspecs"][name]["spec"] for name in ("apache_toree_scala", "apache_toree_scala_large"))
    assert plain["display_name"] == "Apache Toree - Scala"
    assert large["display_name"] == "Apache Toree - Scala (large, 8 cores)"
    about = plain["metadata"]["kg2at"]
    assert about | {"spark_version": "", "toree_version": ""} == {
        "interpreter": "Scala",
        "profile": "",
        "master": "spark://h:7077",
        "cores": 1,
        "executor_cores": None,
        "executor_memory": "1g",
        "spark_version": "",
        "toree_version": "",
    }
    assert about["toree_version"] == "0.5.0" and about["spark_version"].startswith("3.")
    assert large["metadata"]["kg2at"]["executor_memory"] == "1536m"


@pytest.mark.gen_test
async def test_no_argv_env_or_spark_value_reaches_a_client(gateway: Any) -> None:
    for path in ("/api/kernelspecs", "/api/kernelspecs/apache_toree_scala", "/api/kernelspecs/python3"):
        answer = await gateway.ask("GET", path)
        assert answer.code == 200
        assert not any(secret in answer.body for secret in SECRETS), path
    for spec in (await specs(gateway))["kernelspecs"].values():
        assert spec["spec"]["argv"] == [] and spec["spec"]["env"] == {}


@pytest.mark.gen_test
async def test_kernel_json_is_not_served_but_logos_are(gateway: Any) -> None:
    for name in ("kernel.json", "KERNEL.JSON", "./kernel.json", "x/../kernel.json", "kernel.json/"):
        assert (await gateway.ask("GET", f"/kernelspecs/python3/{name}")).code == 404, name
    found = await specs(gateway)
    for url in found["kernelspecs"]["apache_toree_scala"]["resources"].values():
        assert (await gateway.ask("GET", url)).code == 200


@pytest.mark.gen_test
async def test_a_file_broken_later_is_told_and_refuses_new_kernels_only(gateway: Any, environ: Path) -> None:
    running = await gateway.start()
    file = environ / "spark-defaults.conf"
    file.write_text("# fine\nspark.cores.max=lots\n")
    sentence = f"{file}, line 2: spark.cores.max must be a whole number of cores, not 'lots'"
    found = await specs(gateway)
    assert found["kernelspecs"]["apache_toree_scala"]["spec"]["metadata"]["kg2at"]["error"] == sentence
    answer = await gateway.ask("POST", "/api/kernels", {"name": "apache_toree_scala"})
    assert answer.code == 503
    assert json.loads(answer.body) == {"reason": "Spark's configuration is broken", "message": sentence}
    assert (await gateway.ask("GET", f"/api/kernels/{running}")).code == 200
    assert await gateway.run(running, "print(1)") == "1\n"


@pytest.mark.gen_test
async def test_installed_specs_of_the_same_name_are_shadowed_once_loudly(
    gateway: Any, environ: Path, caplog: Any
) -> None:
    installed = environ.parent / "DATA" / "kernels" / "apache_toree_scala"
    installed.mkdir(parents=True)
    (installed / "kernel.json").write_text(json.dumps({"argv": ["old"], "display_name": "Old", "language": "scala"}))
    caplog.set_level("INFO")
    gateway.app.kernel_spec_manager.log.propagate = True
    for _ in range(2):
        assert (await specs(gateway))["kernelspecs"]["apache_toree_scala"]["spec"][
            "display_name"
        ] == "Apache Toree - Scala"
    told = {id(record): record.getMessage() for record in caplog.records if "is used instead of" in record.getMessage()}
    assert len(told) == 1 and str(installed) in next(iter(told.values()))


class TestWithoutInjection:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"KG2ATPersonality": {"inject_kernelspecs": False, "spark_home": "/no/such/spark"}}

    @pytest.mark.gen_test
    async def test_only_installed_specs_are_offered_and_no_spark_is_needed(self, gateway: Any) -> None:
        found = await specs(gateway)
        assert "apache_toree_scala" not in found["kernelspecs"] and found["default"] == "python3"


class TestChosenDefault:
    @pytest.fixture(params=["KernelGatewayApp", "MappingKernelManager", "GatewayKernelManager"])
    def settings(self, request: Any) -> dict[str, Any]:
        return {request.param: {"default_kernel_name": "python3"}}

    @pytest.mark.gen_test
    async def test_the_users_default_kernel_stays(self, gateway: Any) -> None:
        assert (await specs(gateway))["default"] == "python3"


@pytest.mark.gen_test
async def test_what_is_not_offered(gateway: Any, spark: FakeSpark) -> None:
    """Neither in the listing nor by its name; who starts it all the same is told why."""
    spark.become("4.0.1", "2.13")
    found = await specs(gateway)
    assert found["default"] == "spark_python"
    assert {"spark_python", "spark_python_large"} < set(found["kernelspecs"])
    assert not any("toree" in name for name in found["kernelspecs"])
    about = found["kernelspecs"]["spark_python"]["spec"]["metadata"]["kg2at"]
    assert (about["spark_version"], about["python_version"]) == ("4.0.1", platform.python_version())
    assert (await gateway.ask("GET", "/api/kernelspecs/apache_toree_sql")).code == 404
    answer = await gateway.ask("POST", "/api/kernels", {"name": "apache_toree_sql"})
    assert answer.code == 503
    said = json.loads(answer.body)
    assert said["reason"] == "Spark, Java, Toree or Python is missing"
    assert "is built for Scala 2.12, Spark 4.0.1" in said["message"]
