"""A gateway on a Spark and a Toree that are small Python programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.app import serving
from tests.fakes.processes import connection_file, fake_ps, mode, run, value
from tests.fakes.toree import QUICK, FakeSpark
from tests.fakes.warm_kind import WarmKind

__all__ = ["connection_file", "fake_ps", "gateway", "mode", "run", "settings", "value"]


@pytest.fixture
def settings() -> dict[str, Any]:
    return QUICK


@pytest.fixture
def gateway(io_loop: Any, spark: FakeSpark, settings: dict[str, Any]) -> Iterator[Any]:
    with serving(io_loop, settings) as client:
        yield client


@pytest.fixture
def kind(io_loop: Any, monkeypatch: pytest.MonkeyPatch) -> WarmKind:
    """Return what holds the steps of kernels that wait, when a test says so."""

    async def make() -> WarmKind:
        return WarmKind(monkeypatch)

    made: WarmKind = io_loop.run_sync(make)
    return made
