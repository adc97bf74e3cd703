"""Kernels that die and restart quickly."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.toree import QUICK


@pytest.fixture
def settings() -> dict[str, Any]:
    return QUICK
