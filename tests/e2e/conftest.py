from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg2at_personality.spark.installation import Installation
from kg2at_personality.spark.installation_finder import InstallationFinder
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.e2e.properties import DEFAULTS, PROFILES
from tests.fakes.channels import Channels
from tests.fakes.cluster import quick_cluster
from tests.fakes.gateway_process import Gateway
from tests.fakes.jupyter_server import JupyterServer
from tests.fakes.ports import held_range


@pytest.fixture(scope="session")
def installation() -> Installation:
    """The Spark, Java and Toree of this machine."""
    return InstallationFinder().find(os.environ)


@pytest.fixture(scope="module")
def cluster(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandaloneCluster]:
    """Run a standalone master with one worker of 4 cores."""
    with quick_cluster(installation, tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="session")
def kernel_ports() -> str:
    """The range of ports of that gateway's kernels."""
    return held_range(50)


@pytest.fixture(scope="module")
def gateway(kernel_ports: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run kg2at on local[2], started as nohup does, with secrets in its spark-defaults.conf."""
    options = (f"--KG2ATPersonality.kernel_ports={kernel_ports}", "--debug")
    directory: Path = tmp_path_factory.mktemp("gateway")
    environ = {"KG2AT_PROFILES": str(PROFILES)}
    defaults = f"spark.master local[2]\n{DEFAULTS}"
    with Gateway(directory, *options, environ=environ, defaults=defaults, nohup=True) as running:
        yield running


@pytest.fixture(scope="module")
def notebook(gateway: Gateway, kernel: str) -> Iterator[Channels]:
    """Open a websocket to the module's `kernel`."""
    channels = gateway.connect(kernel)
    yield channels
    channels.close()


@pytest.fixture
def server(gateway: Gateway, tmp_path: Path) -> Iterator[JupyterServer]:
    """Run what people use: a Jupyter Server with --gateway-url, as behind JupyterLab."""
    with JupyterServer(gateway, tmp_path) as running:
        yield running
