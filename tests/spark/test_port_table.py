"""The rows of the port tables: values, origins, clashes, the firewall's lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg2at_personality.errors import SparkConfError
from kg2at_personality.spark.conf import SparkConf, SparkConfReader
from kg2at_personality.spark.firewall import firewall
from kg2at_personality.spark.port_clashes import clashes, mismatch, most_kernels
from kg2at_personality.spark.port_lookup import Given
from kg2at_personality.spark.port_table import Port, table

HERE = frozenset({"127.0.0.1"})
GATEWAY = Given(8888, "default")
STANDALONE = {"spark.master": "spark://127.0.0.1:7077"}


def read(overrides: dict[str, str] | None = None, **environ: str) -> tuple[SparkConf, dict[str, str]]:
    return SparkConfReader(overrides=overrides or {}).read(environ), environ


def rows(
    overrides: dict[str, str] | None = None,
    toree: tuple[Given, ...] = (),
    gateway: Given = GATEWAY,
    **environ: str,
) -> dict[str, Port]:
    found = table(*read(overrides, **environ), toree, gateway, HERE)
    return {port.name: port for port in found}


def test_the_defaults_are_those_of_the_documentation() -> None:
    """The three tables of the z/OS recipe."""
    assert {name: port.default for name, port in rows().items()} == {
        "Application WebUI": 4040,
        "Block Manager": None,
        "Driver": None,
        "History Server WebUI": 18080,
        "Master": 7077,
        "Master WebUI": 8080,
        "Worker": None,
        "Worker WebUI": 8081,
        **dict.fromkeys(("stdin_port", "control_port", "hb_port", "shell_port", "iopub_port")),
        "KernelGatewayApp": 8888,
    }
    assert {port.where for name, port in rows().items() if name != "Master"} == {"default"}
    assert clashes(list(rows(STANDALONE).values())) == []


PROPERTIES = {
    "Application WebUI": "spark.ui.port",
    "Block Manager": "spark.blockManager.port",
    "Driver": "spark.driver.port",
    "History Server WebUI": "spark.history.ui.port",
    "Master WebUI": "spark.master.ui.port",
    "Worker WebUI": "spark.worker.ui.port",
}
VARIABLES = {
    "Master": "SPARK_MASTER_PORT",
    "Master WebUI": "SPARK_MASTER_WEBUI_PORT",
    "Worker": "SPARK_WORKER_PORT",
    "Worker WebUI": "SPARK_WORKER_WEBUI_PORT",
}


@pytest.mark.parametrize(("name", "key"), PROPERTIES.items())
def test_each_property(name: str, key: str, tmp_path: Path) -> None:
    path = tmp_path / "spark-defaults.conf"
    path.write_text(f"\n{key} 5000\n")
    port = rows(SPARK_CONF_DIR=str(tmp_path))[name]
    assert (port.first, port.where) == (5000, f"{path}, line 2")
    port = rows(SPARK_CONF_DIR=str(tmp_path), SPARK_OPTS=f"--conf {key}=6000")[name]
    assert (port.first, port.where) == (6000, "environment variable SPARK_OPTS")


@pytest.mark.parametrize(("name", "variable"), VARIABLES.items())
def test_each_variable(name: str, variable: str, tmp_path: Path) -> None:
    own = {"SPARK_CONF_DIR": str(tmp_path), "SPARK_MASTER_HOST": "127.0.0.1"}
    port = rows(**{variable: "5000"}, **own)[name]
    assert port.first == 5000 and variable in port.where
    (tmp_path / "spark-env.sh").write_text(f"{variable}=6000\n")
    port = rows(**{variable: "5000"}, **own)[name]
    assert port.first == 6000 and variable in port.where
    if name != "Master":  # whose row is that of spark.master
        assert port.where.endswith(f"set in {tmp_path}/spark-env.sh")


def test_a_property_wins_over_a_variable_and_a_java_option_over_both() -> None:
    own = {"SPARK_MASTER_WEBUI_PORT": "5000"}
    assert rows({"spark.master.ui.port": "6000"}, **own)["Master WebUI"].first == 6000
    own["SPARK_MASTER_OPTS"] = "-Dx=y '-Dspark.master.ui.port=7000'"
    port = rows({"spark.master.ui.port": "6000"}, **own)["Master WebUI"]
    assert (port.first, port.where) == (7000, "environment variable SPARK_MASTER_OPTS")


@pytest.mark.parametrize("value", ["http", "99999", "80", "-1"])
def test_no_port(value: str) -> None:
    with pytest.raises(SparkConfError, match="SPARK_WORKER_PORT: it must be"):
        rows(SPARK_WORKER_PORT=value)


def test_several_masters_are_several_rows() -> None:
    found = table(*read({"spark.master": "spark://a:7077,b:7078"}), (), GATEWAY, HERE)
    assert [(port.host, port.first) for port in found if port.name == "Master"] == [("a", 7077), ("b", 7078)]
    assert [(port.host, port.first) for port in found if port.name == "Master WebUI"] == [("a", 8080), ("b", 8080)]
    assert clashes(found) == []


def test_a_driver_tries_more_ports_and_bounds_the_notebooks() -> None:
    found = rows({"spark.driver.port": "7000", "spark.port.maxRetries": "3"})
    assert found["Driver"].text == "7000-7003"
    most = most_kernels(list(found.values()))
    assert most and most[0] == 4
    bounds = (Given(41000, "x"), Given(41009, "x"))
    most = most_kernels(list(rows(toree=bounds).values()))
    assert most and (most[0], most[1].name) == (2, "shell_port")
    assert most_kernels(list(rows({"spark.ui.port": "0"}).values())) is None


def test_the_driver_s_block_manager_may_have_its_own() -> None:
    found = rows({"spark.blockManager.port": "7100", "spark.driver.blockManager.port": "7200"})
    assert (found["Block Manager"].first, found["Block Manager (driver)"].first) == (7100, 7200)


def test_the_application_s_page_may_be_off() -> None:
    port = rows({"spark.ui.enabled": "false"})["Application WebUI"]
    assert (port.text, port.where) == ("off", "KG2ATPersonality.spark_conf")


CLASHES: list[tuple[dict[str, str], int, tuple[int, int] | None, list[str]]] = [
    ({}, 8888, None, []),
    ({}, 8080, None, []),  # no master here
    (STANDALONE, 8080, None, ["Master WebUI (8080) and KernelGatewayApp (8080)"]),
    ({}, 4050, None, ["Application WebUI (4040-4056) and KernelGatewayApp (4050)"]),
    ({"spark.driver.port": "4040"}, 8888, None, ["Application WebUI (4040-4056) and Driver (4040-4056)"]),
    ({"spark.driver.port": "4045"}, 8888, None, []),  # each gives way
    (STANDALONE | {"spark.driver.port": "7070"}, 8888, None, ["Driver (7070-7086) and Master (7077)"]),
    ({}, 41500, (41000, 41999), ["shell_port (41000-41999) and KernelGatewayApp (41500)"]),
]


@pytest.mark.parametrize(("overrides", "gateway", "toree", "expected"), CLASHES)
def test_clashes(overrides: dict[str, str], gateway: int, toree: tuple[int, int] | None, expected: list[str]) -> None:
    bounds = tuple(Given(port, "x") for port in toree or ())
    found = clashes(list(rows(overrides, bounds, Given(gateway, "x")).values()))
    assert [sentence.partition(" want ")[0] for sentence in found] == expected


def test_ports_of_other_machines_clash_with_none_of_this() -> None:
    far = {"spark.master": "spark://far:7077"}
    assert clashes(list(rows(far, gateway=Given(8080, "x")).values())) == []


def test_a_variable_that_spark_master_contradicts() -> None:
    conf, environ = read(STANDALONE, SPARK_MASTER_PORT="7078")
    assert "SPARK_MASTER_PORT is 7078 (environment variable SPARK_MASTER_PORT), but" in (mismatch(conf, environ) or "")
    assert mismatch(*read(STANDALONE, SPARK_MASTER_PORT="7077")) is None
    assert mismatch(*read({"spark.master": "local[2]"})) is None


def test_the_firewall_on_a_cluster() -> None:
    found = rows(STANDALONE | {"spark.driver.port": "7100", "spark.port.maxRetries": "9"})
    lines = {line.purpose: (line.source, line.target, line.ports) for line in firewall(list(found.values()), False)}
    assert lines["notebooks"] == ("notebook clients", "this machine", "8888")
    assert lines["executors report to the driver"] == ("workers", "this machine", "7100-7109")
    assert lines["kg2at counts free cores there"] == ("this machine and browsers", "the master", "8080")
    assert lines["blocks of data"] == ("workers and this machine", "each other", "1024-65535")
    advice = [line.advice for line in firewall(list(found.values()), False) if line.purpose == "blocks of data"]
    assert advice == ["any port from 1024; set spark.blockManager.port to open one"]


def test_the_firewall_of_one_machine() -> None:
    found = list(rows({"spark.ui.enabled": "false"}).values())
    assert firewall(found, loopback=True) == []
    assert [line.purpose for line in firewall(found, loopback=False)] == ["notebooks"]
