"""Notebooks in JupyterLab, as people work with them."""

from __future__ import annotations

import pytest

from tests.browser.jupyterlab import JupyterLab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


def test_a_notebook_of_scala(lab: JupyterLab) -> None:
    lab.open("scala", "apache_toree_scala", "sc.parallelize(1 to 100).sum", "spark.range(3).show()")
    lab.wait_for_kernel()
    lab.run(0)
    lab.wait_for_output(0, "5050")
    lab.run(1)
    lab.wait_for_output(1, "|  2|")
