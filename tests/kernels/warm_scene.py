"""A gateway whose kernels wait for users, and what tests do with it."""

from __future__ import annotations

import json
from typing import Any

from kg2at_personality.kernels.manager import GatewayKernelManager
from kg2at_personality.kernels.timing import Timing
from tests.fakes.toree import QUICK, FakeSpark
from tests.fakes.wait import until
from tests.fakes.warm_kind import ready

NAME = "apache_toree_scala"
#: Looks often, and waits for no user.
EAGER = Timing(start_poll=0.05, warm_look=0.02, warm_quiet=0.0, warm_retry=0.05, longest_warm_retry=30.0)
SETTINGS: dict[str, Any] = QUICK | {"KG2ATPersonality": {"warm_kernels": {NAME: 1}, "warm_memory_reserve": 0}}


async def filled(manager: GatewayKernelManager, count: int = 1) -> list[str]:
    """Have kernels started, and return the ids of those that wait, when they are ready."""
    manager.warm_refill.open()
    await until(lambda: len(ready(manager)) == count, lambda: manager.warm_pool.status())
    return ready(manager)


async def filled_once(manager: GatewayKernelManager, count: int = 1) -> list[str]:
    """As `filled`; none is started any more."""
    ids = await filled(manager, count)
    await manager.warm_refill.close()
    return ids


async def post(gateway: Any, **body: Any) -> dict[str, Any]:
    answer = await gateway.ask("POST", "/api/kernels", {"name": NAME, "env": {}} | body)
    assert answer.code == 201, answer.body
    return dict(json.loads(answer.body))


async def status(gateway: Any) -> dict[str, Any]:
    return dict(json.loads((await gateway.ask("GET", "/kg2at/status")).body))


def check_nothing_is_left(manager: GatewayKernelManager, spark: FakeSpark) -> None:
    assert manager.list_kernel_ids() == [] and manager.starts._starts == {} and manager._tasks == set()
    assert manager.warm_pool.status()["kernels"] == [] and manager.warm_pool._ends == {}
    assert manager._kernel_connections == {} and spark.left() == [] and spark.living() == []
