"""Ports are chosen seconds before a JVM takes them. Somebody may be quicker."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.toree import steal_a_port
from tests.web.conftest import environ, gateway, settings  # noqa: F401

pytestmark = pytest.mark.gen_test(timeout=60)


async def test_a_kernel_whose_port_was_taken_starts_on_others(gateway: Any, monkeypatch: Any) -> None:  # noqa: F811
    thieves = steal_a_port(monkeypatch)
    kernel_id = await gateway.start()
    kernel = gateway.app.kernel_manager.get_kernel(kernel_id)
    await kernel.answered()
    assert thieves[0].getsockname()[1] not in kernel.ports and not kernel.is_dead
    assert await gateway.run(kernel_id, "print(6 * 7)") == "42\n"
    thieves[0].close()
    assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")).code == 204
