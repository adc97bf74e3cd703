from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg2at_personality.spark.installation import Installation
from kg2at_personality.spark.installation_finder import InstallationFinder
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.e2e.gateway import Gateway


@pytest.fixture(scope="session")
def installation() -> Installation:
    """The Spark, Java and Toree of this machine."""
    return InstallationFinder().find(os.environ)


@pytest.fixture(scope="module")
def cluster(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandaloneCluster]:
    """A standalone master with one worker of 4 cores."""
    with StandaloneCluster(
        installation.spark.home, installation.java.home, cores=4, directory=tmp_path_factory.mktemp("cluster")
    ) as running:
        yield running


SECRET = "swordfish-0815"
DEFAULTS = f"""\
# what a test greps for
spark.hadoop.fs.s3a.secret.key {SECRET}-key
spark.my.password {SECRET} with blanks
spark.driver.extraJavaOptions -Dmy.password={SECRET}-option -Dmy.plain=visible
spark.executor.memory 512m
spark.driver.memory 600
"""
PROFILES = {"broken": {"spark.driver.extraJavaOptions": f"-javaagent:/no/such.jar -Dpassword={SECRET}-broken"}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """kg2at on local[2], started as nohup does, with secrets in its spark-defaults.conf."""
    options = ("--KG2ATPersonality.kernel_ports=42100-42299", "--debug")
    directory: Path = tmp_path_factory.mktemp("gateway")
    environ = {"KG2AT_PROFILES": str(PROFILES)}
    defaults = f"spark.master local[2]\n{DEFAULTS}"
    with Gateway(directory, *options, environ=environ, defaults=defaults, nohup=True) as running:
        yield running
