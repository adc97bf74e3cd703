"""What tests read out of the Scala that stands in for a cell."""

from __future__ import annotations

import re


def literals(scala: str) -> list[str]:
    """The text literals that hold the cell."""
    return re.findall(r'"([A-Za-z0-9+/= ]*)"', scala)
