"""Notebooks in JupyterLab, as people work with them."""

from __future__ import annotations

import pytest

from kg2at_personality.spark.standalone import StandaloneCluster
from tests.browser.evidence import screenshot
from tests.browser.jupyterlab import LIMIT, JupyterLab
from tests.fakes.cluster import CORES
from tests.fakes.gateway_process import Gateway
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
SCALA, PYTHON = "apache_toree_scala", "spark_python"
PYTHON_JOB = "kept = sc.parallelize(range(1, 101), 2).sum()\nprint(kept)"
TABLE = "%%sql\nselect 40 + 2 as answer"
PLOT = "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2, 3]);"
#: The whole cluster, for a kernel of somebody else's.
ALL_CORES = {"KERNEL_SPARK_CORES_MAX": str(CORES)}


def kernels(gateway: Gateway) -> list[str]:
    return [kernel["id"] for kernel in gateway.request("GET", "/api/kernels").body]


def is_connected(gateway: Gateway, kernel_id: str) -> bool:
    return bool(gateway.request("GET", f"/api/kernels/{kernel_id}").body["connections"])


def test_a_notebook_of_scala(lab: JupyterLab) -> None:
    lab.open("scala", SCALA, "sc.parallelize(1 to 100).sum", "spark.range(3).show()")
    lab.wait_for_session()
    lab.answer(0, "5050")
    lab.answer(1, "|  2|")
    screenshot(lab.page, "jupyterlab-scala")


def test_a_notebook_of_python_with_a_plot_and_a_table(lab: JupyterLab) -> None:
    lab.open("python", PYTHON, PYTHON_JOB, TABLE, PLOT)
    lab.wait_for_session()
    lab.answer(0, "5050")
    lab.answer(1, "answer")
    assert lab.output(1).locator("table td").all_inner_texts()[-1] == "42"
    lab.run(2)
    plot = lab.output(2).locator("img")
    plot.wait_for(timeout=LIMIT * 1000)
    assert plot.evaluate("img => img.decode().then(() => img.naturalWidth)") > 100
    screenshot(lab.page, "jupyterlab-python")


def test_a_full_cluster_is_told_in_a_dialog(lab: JupyterLab, gateway: Gateway) -> None:
    gateway.start_kernel(PYTHON, env=ALL_CORES)
    lab.open("refused", PYTHON, "1 + 1")
    lab.dialog.wait_for(timeout=LIMIT * 1000)
    told = lab.dialog.inner_text()
    assert f"The notebook needs 1 core in one executor of 512 MiB; 0 of {CORES} are free" in told, told
    assert "Shut down a notebook or run sc.stop() in one." in told, told
    screenshot(lab.page, "jupyterlab-refused")


def test_a_click_in_the_running_panel_ends_a_kernel(
    lab: JupyterLab, gateway: Gateway, cluster: StandaloneCluster
) -> None:
    lab.open("running", PYTHON, PYTHON_JOB)
    lab.wait_for_session()
    lab.answer(0, "5050")
    assert cluster.state()["coresused"] > 0
    [kernel] = kernels(gateway)
    lab.shut_down_in_running_panel(kernel)
    wait_until(lambda: kernels(gateway) == [], "the end of the kernel")
    wait_until(lambda: cluster.state()["coresused"] == 0, "its cores")


def test_a_gateway_that_is_killed_and_started_again_loses_no_variable(lab: JupyterLab, gateway: Gateway) -> None:
    lab.open("killed", PYTHON, PYTHON_JOB, "print(kept + 1, sc.parallelize([kept, 1]).sum())")
    lab.wait_for_session()
    lab.answer(0, "5050")
    before = kernels(gateway)
    gateway.kill()
    gateway.start()
    assert kernels(gateway) == before
    # Jupyter Server drops what it is sent until then (2.21, GatewayWebSocketConnection.handle_incoming_message).
    wait_until(lambda: is_connected(gateway, before[0]), "Jupyter Server's websocket", limit=LIMIT)
    lab.answer(1, "5051 5051")
