"""`jupyter kg2at ports`: the real program, at last against a real cluster on odd ports."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.spark.installation import Installation
from kg2at_personality.spark.installation_finder import InstallationFinder
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.cli.program import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def report(place: Place, *argv: str, status: int = 0) -> dict[str, Any]:
    ran = place.run("ports", "--json", *argv)
    assert ran.status == status, ran
    return dict(json.loads(ran.out))


def rows(place: Place, *argv: str) -> dict[str, Any]:
    return {row["name"]: row for row in report(place, *argv)["ports"]}


def test_every_row_of_the_recipe_in_its_order(place: Place) -> None:
    found = [(row["component"], row["name"]) for row in report(place)["ports"]]
    spark = ["Application WebUI", "Block Manager", "Driver", "Master", "Master WebUI", "Worker", "Worker WebUI"]
    toree = ["stdin_port", "control_port", "hb_port", "shell_port", "iopub_port"]
    expected = [("Spark", name) for name in [*spark, "History Server WebUI"]]
    assert found == [*expected, *(("Kernel", name) for name in toree), ("Kernel Gateway", "KernelGatewayApp")]


def test_who_set_the_gateway_s_port(place: Place) -> None:
    assert rows(place)["KernelGatewayApp"]["where"] == "environment variable KG_PORT"
    path = place.directory / "config" / "jupyter_kernel_gateway_config.py"
    path.parent.mkdir()
    path.write_text("# c.KernelGatewayApp.port = 1\nc.KernelGatewayApp.port = 9001\n")
    assert rows(place)["KernelGatewayApp"]["where"] == f"{path}, line 2"
    found = rows(place, "--KernelGatewayApp.port=9002")["KernelGatewayApp"]
    assert (found["effective"], found["where"]) == ("9002", "argument --KernelGatewayApp.port")
    del place.environ["KG_PORT"]
    path.unlink()
    assert rows(place)["KernelGatewayApp"]["where"] == "default"


def test_toree_s_range(place: Place) -> None:
    # Above those among which the gateway's own may be.
    place.environ["KG2AT_KERNEL_PORTS"] = "61000-61999"
    found = rows(place)["hb_port"]
    assert (found["effective"], found["where"]) == ("61000-61999", "environment variable KG2AT_KERNEL_PORTS")
    assert report(place, "--KG2ATPersonality.kernel_ports=61000-61009")["most_kernels"] == 2


def test_a_taken_port_and_who_has_it(place: Place) -> None:
    with socket.create_server(("127.0.0.1", int(place.environ["KG_PORT"]))):
        state = rows(place)["KernelGatewayApp"]["state"]
    assert state.startswith("taken by ") and "pid" in state
    assert rows(place)["KernelGatewayApp"]["state"] == "free"


def test_clashes_are_status_1_and_told(place: Place) -> None:
    place.defaults("spark.ui.port 9100\nspark.driver.port 9100\n")
    ran = place.run("ports")
    assert ran.status == 1
    assert "Clashes:\n  Application WebUI (9100-9116) and Driver (9100-9116) want the same port" in ran.out
    assert len(report(place, status=1)["clashes"]) == 1


def test_plain_output(place: Place) -> None:
    ran = place.run("ports")
    assert ran.status == 0
    assert ran.out.startswith("OF ") and "\nNo clashes.\n" in ran.out
    assert "At most 17 notebooks at a time on this machine: Application WebUI has 4040-4056." in ran.out
    assert "To open in a firewall:" in ran.out


def test_masters_elsewhere_that_answer_or_not(place: Place) -> None:
    place.defaults("spark.master spark://no.such.invalid:7077\n")
    assert rows(place)["Master"]["state"] == "no.such.invalid does not answer"


@pytest.mark.parametrize("text", ["spark.driver.port 80\n", "spark.ui.port x\n"])
def test_no_port(place: Place, text: str) -> None:
    path = place.defaults(text)
    ran = place.run("ports")
    assert (ran.status, ran.out) == (1, "")
    assert f"{path}, line 1: " in ran.err


@pytest.mark.e2e
def test_a_real_cluster_on_odd_ports(place: Place, tmp_path: Path) -> None:
    import os

    found: Installation = InstallationFinder().find(os.environ)
    with StandaloneCluster(found.spark.home, found.java.home, cores=1, directory=tmp_path / "cluster") as cluster:
        master, web = cluster.master_url.rpartition(":")[2], cluster.ui_url.rpartition(":")[2]
        conf = place.defaults(f"spark.master {cluster.master_url}\n")
        script = place.script(f"SPARK_MASTER_WEBUI_PORT={web}\n")
        told = rows(place)
        assert told["Master"]["effective"] == master
        assert told["Master"]["where"] == f"{conf}, line 1"
        assert told["Master"]["state"].startswith("taken by Master (pid ")
        assert told["Master WebUI"]["effective"] == web
        assert told["Master WebUI"]["where"].endswith(f"set in {script}")
        assert told["Master WebUI"]["state"].startswith("taken by Master (pid ")
        assert place.run("ports", f"--KernelGatewayApp.port={web}").status == 1
    assert rows(place)["Master"]["state"] == "free"
