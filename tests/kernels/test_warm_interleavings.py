"""A start that gets a kernel which waited, and ends on its way: its client goes, DELETE, the gateway's end.

What was not handed out goes on to wait; all else is ended.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kg2at_personality.admission.clusters import Clusters
from kg2at_personality.errors import StartEnded, TooManyKernels
from kg2at_personality.kernels.kernel import GatewayKernel
from kg2at_personality.kernels.launch.launcher import Launcher
from kg2at_personality.kernels.manager import GatewayKernelManager
from kg2at_personality.kernels.provisioner import SparkProvisioner
from kg2at_personality.kernels.record_keeper import RecordKeeper
from kg2at_personality.kernels.startup import Startup
from kg2at_personality.kernels.supplies import Supplies
from kg2at_personality.kernels.waiting_kernel import WaitingKernel
from kg2at_personality.kernels.warm_pool import WarmPool
from tests.fakes.ports import held_range
from tests.fakes.toree import FakeSpark, start
from tests.fakes.wait import until
from tests.fakes.warm_kind import WarmKind, ready
from tests.kernels.warm_scene import EAGER, SETTINGS, check_nothing_is_left, filled_once

pytestmark = pytest.mark.gen_test(timeout=60)
#: Before anything is handed to the kernel, and afterwards.
BEFORE = [
    (Launcher, "plan"),
    (WarmPool, "claim"),
    (WaitingKernel, "lives"),
    (SparkProvisioner, "misfit"),
    (Supplies, "admit"),
]
AFTER = [
    (WaitingKernel, "stop_warming"),
    (WaitingKernel, "become"),
    (RecordKeeper, "write"),
    (SparkProvisioner, "hand_out"),
    (SparkProvisioner, "_write_files"),
    (GatewayKernel, "start_restarter"),
    (GatewayKernelManager, "enlist"),
    (GatewayKernelManager, "_finish_kernel_start"),
    (Startup, "hear"),
]


@pytest.fixture
def settings() -> dict[str, Any]:
    own = SETTINGS["KG2ATPersonality"] | {"kernel_ports": held_range(10)}
    return SETTINGS | {"KG2ATPersonality": own, "KernelGatewayApp": {"max_kernels": 1}}


@pytest.fixture
def manager(gateway: Any) -> GatewayKernelManager:
    found: GatewayKernelManager = gateway.app.kernel_manager
    found.timing = EAGER
    return found


def call_at(monkeypatch: pytest.MonkeyPatch, cls: Any, method: str, what: Any, holds: bool = False) -> None:
    """Have `what` called in the event loop as soon as the method is, which goes on; `holds`: which waits for ever."""
    loop, real = asyncio.get_running_loop(), getattr(cls, method)

    async def wait(*args: Any, **kwargs: Any) -> None:
        what()
        await asyncio.Event().wait()

    def first(*args: Any, **kwargs: Any) -> Any:
        loop.call_soon_threadsafe(what)
        return real(*args, **kwargs)

    monkeypatch.setattr(cls, method, wait if holds and asyncio.iscoroutinefunction(real) else first)


async def starts_again(gateway: Any, spark: FakeSpark, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place of the kernel is free, and so are its ports."""
    monkeypatch.undo()
    spark.enter(monkeypatch)
    _, kernel = await start(gateway)
    await kernel.answered()


@pytest.mark.parametrize(("cls", "method"), [*BEFORE, *AFTER])
async def test_its_client_goes(
    gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, monkeypatch: Any, cls: Any, method: str
) -> None:
    [kernel_id] = await filled_once(manager)
    call_at(monkeypatch, cls, method, lambda: begun.cancel(), holds=(cls, method) in BEFORE)
    begun = asyncio.ensure_future(start(gateway))
    with pytest.raises(asyncio.CancelledError):
        await begun
    await until(lambda: not manager._tasks, "the kernel to be taken back")
    if (cls, method) in BEFORE:
        assert ready(manager) == [kernel_id] and manager.list_kernel_ids() == [] and not manager.starts
    else:
        check_nothing_is_left(manager, spark)
    await starts_again(gateway, spark, monkeypatch)
    assert (manager.list_kernel_ids() == [kernel_id]) == ((cls, method) in BEFORE)


@pytest.mark.parametrize(("cls", "method"), [(Supplies, "admit"), *AFTER])
async def test_it_is_deleted(
    gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, monkeypatch: Any, cls: Any, method: str
) -> None:
    """Whoever sees its id in the queue may do that; then it is nobody's any more."""
    [kernel_id] = await filled_once(manager)
    stops: list[Any] = []

    def delete() -> None:
        stops.append(asyncio.ensure_future(manager.shutdown_kernel(kernel_id)))

    call_at(monkeypatch, cls, method, delete, holds=method == "admit")
    with pytest.raises(StartEnded):
        await start(gateway)
    await asyncio.gather(*stops)
    await until(lambda: not manager.warm_pool._ends, "its end")
    check_nothing_is_left(manager, spark)
    await starts_again(gateway, spark, monkeypatch)


@pytest.mark.parametrize(("cls", "method"), [*BEFORE, *AFTER])
@pytest.mark.parametrize("keeps", [False, True])
async def test_the_gateway_ends(
    gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, monkeypatch: Any, cls: Any, method: str, keeps: bool
) -> None:
    await filled_once(manager)
    gateway.app.personality.keep_kernels_on_exit = keeps
    ends: list[Any] = []
    call_at(monkeypatch, cls, method, lambda: ends.append(asyncio.ensure_future(gateway.app.personality.shutdown())))
    begun = asyncio.ensure_future(start(gateway))
    await asyncio.wait([begun])
    await asyncio.gather(*ends)
    if not keeps:
        check_nothing_is_left(manager, spark)
    assert manager.warm_pool.status()["kernels"] == []
    assert spark.living() == [kernel.pid for kernel in manager.kernels()]


async def test_while_it_waits_for_cores_nobody_else_gets_it(
    gateway: Any, manager: GatewayKernelManager, kind: WarmKind, monkeypatch: Any
) -> None:
    [kernel_id] = await filled_once(manager)
    go, asked, real = asyncio.Event(), list[str](), Supplies.admit

    async def admit(supplies: Supplies, kernel_id: str, *arguments: Any) -> Any:
        asked.append(kernel_id)
        await go.wait()
        return await real(supplies, kernel_id, *arguments)

    monkeypatch.setattr(Supplies, "admit", admit)
    begun = asyncio.ensure_future(start(gateway))
    await until(lambda: asked == [kernel_id], "the wait")
    [row] = manager.warm_pool.status()["kernels"]
    assert row["state"] == "claimed" and manager.is_starting(kernel_id) and "hand_out" not in kind.reached
    with pytest.raises(TooManyKernels):
        await start(gateway)
    go.set()
    assert (await begun)[0] == kernel_id


async def test_one_that_gets_no_cores_gives_it_back(
    gateway: Any, manager: GatewayKernelManager, monkeypatch: Any
) -> None:
    [kernel_id] = await filled_once(manager)

    async def refuse(clusters: Clusters, *arguments: Any) -> None:
        raise TooManyKernels("No cores.")

    monkeypatch.setattr(Clusters, "acquire", refuse)
    monkeypatch.setattr(Supplies, "admission", lambda *arguments: _Admission())
    for _ in range(2):
        with pytest.raises(TooManyKernels, match="No cores"):
            await start(gateway)
        assert ready(manager) == [kernel_id] and not manager.starts


class _Admission:
    request, urls = None, ()


@pytest.mark.parametrize("step", ["warm_up", "start"])
async def test_the_gateway_ends_while_one_is_being_started(
    gateway: Any, manager: GatewayKernelManager, spark: FakeSpark, kind: WarmKind, step: str
) -> None:
    kind.holds = step
    if step == "start":
        spark.gate()
    manager.warm_refill.open()
    await until(lambda: kind.reached if step == "warm_up" else spark.launches(), "its start")
    await gateway.app.personality.shutdown()
    check_nothing_is_left(manager, spark)


async def test_one_that_is_being_warmed_up_is_handed_out_too(
    gateway: Any, manager: GatewayKernelManager, kind: WarmKind
) -> None:
    """What it is about to be warmed with is left out."""
    kind.holds = "end of warm_up"
    manager.warm_refill.open()
    await until(lambda: [row["state"] for row in manager.warm_pool.status()["kernels"]] == ["warming"], "its warming")
    [row] = manager.warm_pool.status()["kernels"]
    kernel_id, kernel = await start(gateway)
    assert (kernel_id, kernel.warm_reason) == (row["kernel_id"], "")
    await kernel.answered()
