"""A real Spark to hold the rules against, and a certificate."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def spark_jvm() -> Iterator[Any]:
    """The py4j view of a JVM with Spark's classes and no SparkContext; about 3 s, once."""
    launcher = pytest.importorskip("pyspark.java_gateway")
    gateway = launcher.launch_gateway()
    yield gateway.jvm
    gateway.shutdown()
    # launch_gateway hands the JVM its stdin; closing it is how the JVM is told to go.
    gateway.proc.stdin.close()
    gateway.proc.wait(30)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate and key for 127.0.0.1, in one PEM file."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key -out cert -subj /CN=fake"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"], cwd=folder, check=True, capture_output=True
    )
    both = folder / "both.pem"
    both.write_text((folder / "cert").read_text() + (folder / "key").read_text())
    return both
