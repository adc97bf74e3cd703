"""Ports are chosen seconds before a JVM takes them. Somebody may be quicker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.app import Client, serving
from tests.fakes.ports import steal_a_port

pytestmark = pytest.mark.gen_test(timeout=60)


@pytest.fixture
def gateway(io_loop: Any, environ: Path) -> Iterator[Client]:
    """A gateway with python kernels, as they come."""
    with serving(io_loop, {}) as client:
        yield client


async def test_a_kernel_whose_port_was_taken_starts_on_others(gateway: Any, monkeypatch: Any) -> None:
    thieves = steal_a_port(monkeypatch)
    kernel_id = await gateway.start()
    kernel = gateway.app.kernel_manager.get_kernel(kernel_id)
    await kernel.answered()
    assert thieves[0].getsockname()[1] not in kernel.ports and not kernel.is_dead
    assert await gateway.run(kernel_id, "print(6 * 7)") == "42\n"
    thieves[0].close()
    assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")).code == 204
