"""What a kind of kernel does for one that waits, with the fake Toree: tests hold it, and make it fail."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from kg2at_personality.kernels.client import KernelClient, silent
from kg2at_personality.kernels.launch.plan import HandOutFailed, Plan
from kg2at_personality.kernels.provisioner import SparkProvisioner

#: What only the start of a process sets, of all that a real kind compares.
FIXED = "spark.driver.memory"


class WarmKind:
    """Stands in for SparkProvisioner's own methods. A step that `holds` it waits until `go` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.reached = asyncio.Event(), list[str]()
        self.holds = self.fails = ""
        kind = self

        async def misfit(own: SparkProvisioner, plan: Plan, env: Mapping[str, str], cwd: str | None) -> str:
            await kind.step("misfit")
            has = own.plan.conf.get(FIXED) if own.plan is not None else None
            if cwd is not None:
                return "the working directory is another one"
            return "" if plan.conf.get(FIXED) == has else f"{FIXED} is another one"

        async def warm_up(own: SparkProvisioner, client: KernelClient) -> bool:
            await kind.step("warm up")
            return await client.reply("kernel_info_request") is not None

        async def hand_out(
            own: SparkProvisioner, client: KernelClient, plan: Plan, env: Mapping[str, str], cwd: str | None
        ) -> None:
            await kind.step("hand out")
            own.plan, own.interpreter = plan, plan.interpreter
            await asyncio.to_thread(own._write_files, plan, "")
            code = f"import os; os.environ.clear(); os.environ.update({dict(env)!r})"
            if await client.reply("execute_request", silent(code)) is None:
                raise HandOutFailed("its process has died")

        for method in (misfit, warm_up, hand_out):
            monkeypatch.setattr(SparkProvisioner, method.__name__, method)

    async def step(self, name: str) -> None:
        self.reached.append(name)
        if self.holds == name:
            await self.go.wait()
        if self.fails == name:
            raise HandOutFailed(f"no {name}")


def ready(manager: Any) -> list[str]:
    """Return the ids of the kernels that are ready to be handed out."""
    return [row["kernel_id"] for row in manager.warm_pool.status()["kernels"] if row["state"] == "ready"]
