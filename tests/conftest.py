"""The fixtures that tests of several folders use."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

import tests.fakes.kernel_ports  # noqa: F401  (for what it does)
from kg2at_personality.kernels.launch.launcher import Launcher
from kg2at_personality.kernels.provisioner import SparkProvisioner
from tests.fakes.app import Client, serving
from tests.fakes.examples import examples
from tests.fakes.gateways import Gateways
from tests.fakes.held_calls import HeldCalls
from tests.fakes.toree import FakeSpark

DEFAULTS = "spark.master local[2]\nspark.hadoop.fs.secret.key hush-hush-secret\n"

# How long an example takes says how busy the machine is: no test fails by that.
hypothesis.settings.register_profile(
    "kg2at", deadline=None, max_examples=examples(100), suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("kg2at")
#: The python3 of all tests: a small kernel of our own, unless one asks for ipykernel.
KERNELS = Path(__file__).parent / "fakes" / "jupyter"
os.environ["JUPYTER_PATH"] = str(KERNELS)

# In the background of a shell SIGINT is ignored, and whatever a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def log_filters() -> Iterator[None]:
    """Take away the filters that a gateway in this process gives to the handlers of pytest's log."""
    before = [(handler, list(handler.filters)) for handler in logging.getLogger().handlers]
    yield
    for handler, filters in before:
        handler.filters[:] = filters


@pytest.fixture
def ipykernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real python3."""
    monkeypatch.delenv("JUPYTER_PATH")


@pytest.fixture
def spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpark]:
    """Return a Spark and a Toree that are small Python programs."""
    with FakeSpark(tmp_path).enter(monkeypatch) as fake:
        yield fake


@pytest.fixture
def gateways(io_loop: Any, spark: FakeSpark) -> Iterator[Gateways]:
    """Return gateways on that Spark, one after the other in one state directory."""
    made = Gateways(spark)
    yield made
    io_loop.run_sync(made.end)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldCalls]:
    """Hold the starts of Torees before anything is done for them, when a test says so."""
    held = HeldCalls(monkeypatch, Launcher, "plan")
    yield held
    held.release()


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldCalls]:
    """Hold the launches of Torees when a test says so: all is taken, there is a record and no process."""
    held = HeldCalls(monkeypatch, SparkProvisioner, "_write_files")
    yield held
    held.release()


@pytest.fixture
def settings() -> dict[str, Any]:
    """Return traits for the gateway under test: class name -> traits. Tests override it."""
    return {}


@pytest.fixture
def environ(spark: FakeSpark) -> Path:
    """A Jupyter and a Spark set-up of the test's own; the directory of Spark's configuration."""
    (spark.conf / "spark-defaults.conf").write_text(DEFAULTS)
    return spark.conf


@pytest.fixture
def gateway(io_loop: Any, environ: Path, settings: dict[str, Any]) -> Iterator[Client]:
    """Run a gateway in this process, with python kernels: quick, and every handler is the real one."""
    with serving(io_loop, settings) as client:
        yield client
