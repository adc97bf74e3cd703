"""How many examples hypothesis tries: KG2AT_TEST_EXAMPLES (1) times as many as a test says."""

from __future__ import annotations

import os

_SHARE = float(os.environ.get("KG2AT_TEST_EXAMPLES", "1"))


def examples(count: int) -> int:
    """Return the share of `count` that is tried, 10 at least."""
    return max(10, round(_SHARE * count))
