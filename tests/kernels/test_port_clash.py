"""Ports are chosen seconds before a JVM takes them. Somebody may be quicker."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.web.conftest import environ, gateway, settings, unused_port  # noqa: F401

pytestmark = pytest.mark.gen_test(timeout=60)


async def test_a_kernel_whose_port_was_taken_starts_on_others(gateway: Any, monkeypatch: Any) -> None:  # noqa: F811
    from jupyter_client.provisioning import LocalProvisioner

    launch, thieves = LocalProvisioner.launch_kernel, []

    async def steal(self: Any, cmd: Any, **kwargs: Any) -> Any:
        if not thieves:
            thieves.append(socket.create_server(("127.0.0.1", self.connection_info["shell_port"])))
        return await launch(self, cmd, **kwargs)

    monkeypatch.setattr(LocalProvisioner, "launch_kernel", steal)
    kernel_id = await gateway.start()
    kernel = gateway.app.kernel_manager.get_kernel(kernel_id)
    await kernel.answered()
    assert thieves[0].getsockname()[1] not in kernel.ports and not kernel.is_dead
    assert await gateway.run(kernel_id, "print(6 * 7)") == "42\n"
    thieves[0].close()
    assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")).code == 204
