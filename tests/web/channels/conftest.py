"""A gateway on a Spark and a Toree that are small Python programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.toree import QUICK, FakeSpark


@pytest.fixture
def spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpark]:
    with FakeSpark(tmp_path).enter(monkeypatch) as fake:
        yield fake


@pytest.fixture
def environ(spark: FakeSpark) -> Path:
    return spark.conf


@pytest.fixture
def settings() -> dict[str, Any]:
    return QUICK
