"""A signal that comes at the worst moment: a line of the log is being written, and a handler that logs would fail."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.fakes.gateway_process import Gateway
from tests.fakes.signalled_gateway import MARK, VARIABLE
from tests.fakes.toree import FakeSpark


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_it_ends_the_gateway_in_good_order(tmp_path: Path, signum: signal.Signals) -> None:
    spark = FakeSpark(tmp_path)
    environ = spark.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), VARIABLE: str(int(signum))}
    personality = "tests.fakes.signalled_gateway"
    with spark, Gateway(tmp_path / "gateway", personality=personality, environ=environ, quick=True) as gateway:
        assert gateway.request("GET", MARK.decode()).status == 404
        assert gateway.process is not None and gateway.process.wait(60) == 0, gateway.log
        assert f"received signal {int(signum)}, stopping" in gateway.log and "Traceback" not in gateway.log
