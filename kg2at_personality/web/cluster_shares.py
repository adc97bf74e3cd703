"""Whose the cores and the memory of a cluster are, of its row in the status."""

from __future__ import annotations

from typing import Any

CORES, MEMORY = "cores_{}", "memory_{}_mib"
SHARES = ("notebooks", "others", "promised", "free")


def shares(cluster: dict[str, Any], name: str) -> dict[str, int]:
    """Return the amount of each of SHARES, which make the whole; `name` is CORES or MEMORY.

    What is promised is still free at the master, and others have what nobody here has. No share is negative: the leases
    may be newer than the master's answer. Only for a cluster whose master has answered.
    """
    total, free = cluster[name.format("total")], cluster[name.format("free")]
    notebooks = min(cluster[name.format("notebooks")], total - free)
    promised = min(cluster[name.format("promised")], free)
    return dict(zip(SHARES, (notebooks, total - free - notebooks, promised, free - promised), strict=True))
