"""What the status says of a kernel's cores: held, given back, waited for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)

LEASE = {"cores": 4, "granted": 4, "given_back": 0, "state": "running", "app_id": "app-1"}
WAIT = {"name": "n", "user": "ann", "cores": 1, "waited_s": 12.3, "position": 1, "app_id": "app-1"}
WAITER = {"name": "n", "user": "ann", "cores": 1, "waited_s": 99.0, "position": 2, "app_id": None}


@pytest.mark.parametrize(
    ("lease", "row", "expected"),
    [
        ({}, None, {"state": "idle, running", "cores": 4, "cores_held": 4, "cores_admitted": 4, "given_back": 0}),
        (
            {"granted": 2, "given_back": 2},
            None,
            {"state": "idle, running, 2 cores given back", "cores_held": 2, "cores_admitted": 4, "given_back": 2},
        ),
        ({"granted": 0}, WAIT, {"state": "idle, waiting for 1 core for 12 s", "cores_held": 0}),
        ({"granted": 0}, WAIT | {"waited_s": 7200.0, "cores": 2}, {"state": "idle, waiting for 2 cores for 2.0 h"}),
        (
            {"granted": 0, "given_back": 3},
            WAIT,
            {"state": "idle, waiting for 1 core for 12 s, 3 cores given back", "given_back": 3},
        ),
        (
            {"granted": 0, "given_back": 4, "state": "resting", "app_id": None},
            None,
            {"state": "idle, resting, 4 cores given back", "given_back": 4, "cores_held": 0, "app_id": None},
        ),
        (
            None,
            None,
            {"state": "idle", "cores": 0, "cores_held": 0, "cores_admitted": 0, "given_back": 0, "app_id": None},
        ),
    ],
)
async def test_a_kernels_cores(
    gateway: Any, monkeypatch: Any, lease: dict[str, Any] | None, row: Any, expected: dict[str, Any]
) -> None:
    kernel_id = await gateway.start()
    await gateway.run(kernel_id, "1")
    kernel = gateway.app.kernel_manager.get_kernel(kernel_id)
    await until(lambda: kernel.execution_state == "idle", "what the gateway hears of it")
    queue = [row | {"kernel_id": kernel_id}] if row else []
    leases = {} if lease is None else {kernel_id: LEASE | lease}
    waiter = WAITER | {"kernel_id": "another"}
    status = {"cluster": {}, "queue": [*queue, waiter], "leases": leases, "urls": []}
    monkeypatch.setattr(gateway.app.kernel_manager.clusters, "status", lambda: [dict(status)])
    body = json.loads((await gateway.ask("GET", "/kg2at/status")).body)
    [kernel] = body["kernels"]
    assert {key: kernel[key] for key in expected} == expected
    assert body["queue"] == [*queue, waiter]
    assert "leases" not in body["clusters"][0]


async def test_since_when_it_is_idle(gateway: Any, monkeypatch: Any) -> None:
    kernel = gateway.app.kernel_manager.get_kernel(await gateway.start())
    monkeypatch.setattr(type(kernel), "idle_since", lambda *_: kernel.since)
    [row] = json.loads((await gateway.ask("GET", "/kg2at/status")).body)["kernels"]
    assert row["idle_since"] == row["since"] and row["idle_since"].endswith("Z")
