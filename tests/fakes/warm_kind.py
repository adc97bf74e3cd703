"""What a kind of kernel does for one that waits, held where a test says, or made to fail there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kg2at_personality.kernels.launch.plan import HandOutFailed
from kg2at_personality.kernels.provisioner import SparkProvisioner


class WarmKind:
    """Stands before SparkProvisioner's misfit, warm_up and hand_out: waits at `holds` until `go` is set, then goes on.

    `holds` is the name of one of them, or "end of " and the name. `reached` has the names of what was called, in order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.reached = asyncio.Event(), list[str]()
        self.holds = self.fails = ""
        for name in ("misfit", "warm_up", "hand_out"):
            monkeypatch.setattr(SparkProvisioner, name, self._before(name, getattr(SparkProvisioner, name)))

    def _before(self, name: str, real: Any) -> Any:
        async def call(*arguments: Any) -> Any:
            self.reached.append(name)
            if self.holds == name:
                await self.go.wait()
            if self.fails == name:
                raise HandOutFailed(f"no {name}")
            found = await real(*arguments)
            if self.holds == f"end of {name}":
                await self.go.wait()
            return found

        return call


def ready(manager: Any) -> list[str]:
    """Return the ids of the kernels that are ready to be handed out."""
    return [row["kernel_id"] for row in manager.warm_pool.status()["kernels"] if row["state"] == "ready"]
