"""Below a path of its own (`base_url`), whatever way it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kg2at_personality.runtime_file import running

pytestmark = pytest.mark.gen_test(timeout=60)


@pytest.fixture(params=["foo", "/a.b+c/d"])
def settings(request: Any) -> dict[str, Any]:
    return {"KernelGatewayApp": {"base_url": request.param}}


async def test_it_is_printed_written_and_served_in_one_way(gateway: Any, caplog: Any) -> None:
    app = gateway.app
    path, app.log.propagate = app.base_url.rstrip("/"), True
    caplog.set_level("INFO")
    await app.personality.init_configurables()
    assert f"kg2at serves Spark at http://127.0.0.1:{app.port}{path}/kg2at/" in caplog.messages
    [written] = running(app.runtime_dir)
    assert written.url == f"http://127.0.0.1:{app.port}{path}"
    answer = await gateway.ask("POST", f"{path}/api/kernels", {"name": "python3"})
    assert answer.headers["Location"] == f"{path}/api/kernels/{json.loads(answer.body)['id']}"
    assert (await gateway.ask("GET", answer.headers["Location"])).code == 200
    for route in ("/kg2at/", "/kg2at/status", "/api/sessions", "/api/swagger.json"):
        assert (await gateway.ask("GET", path + route)).code == 200
    specs = json.loads((await gateway.ask("GET", f"{path}/api/kernelspecs")).body)["kernelspecs"]
    for logo in specs["apache_toree_scala"]["resources"].values():
        assert (await gateway.ask("GET", logo)).code == 200


async def test_nothing_is_served_elsewhere(gateway: Any) -> None:
    for path in ("/api", "/aXb+c/d/api", "/foobar/api", "/kg2at/status"):
        assert (await gateway.ask("GET", path)).code == 404, path
