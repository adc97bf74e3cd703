"""The first cell of a fresh notebook runs, in each of 20, although it comes before the kernel has answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kg2at_personality.spark.standalone import StandaloneCluster
from tests.browser.jupyterlab import JupyterLab
from tests.fakes.gateway_process import Gateway, defaults_on

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
#: Each fifth kernel is a Toree, which takes seconds to start; Pythons mostly wait for their users.
KERNELS = 4 * ["spark_python", "spark_python", "apache_toree_scala", "spark_python", "spark_python"]
WARM = {"KG2AT_WARM_KERNELS": '{"spark_python": 1}'}


@pytest.fixture(scope="module")
def shared_gateway(cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run one that has a Python wait for its user."""
    with Gateway(tmp_path_factory.mktemp("gateway"), environ=WARM, defaults=defaults_on(cluster)) as running:
        yield running


def test_the_first_cell_of_each_runs(lab: JupyterLab) -> None:
    for number, kernel in enumerate(KERNELS):
        lab.write(f"fresh-{number:02}", kernel, f"{number} + 1000")
    lab.visit()
    for number in range(len(KERNELS)):
        lab.open_from_list(f"fresh-{number:02}")
        lab.wait_for_session()
        lab.answer(0, f"{number + 1000}")
        lab.close_and_shut_down()
