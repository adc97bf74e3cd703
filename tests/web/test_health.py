"""What is told to anybody: that the gateway's loop turns, and whether kernels can start."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import Any

import pytest
from kernel_gateway.auth.identity import GatewayIdentityProvider

from kg2at_personality.adoption import Adoption
from kg2at_personality.kernels import readiness
from kg2at_personality.kernels.timing import Timing
from kg2at_personality.personality import KG2ATPersonality
from tests.fakes.app import Client
from tests.fakes.gateways import Gateways
from tests.fakes.toree import FakeSpark

pytestmark = pytest.mark.gen_test(timeout=60)
LIVE, READY = "/kg2at/live", "/kg2at/ready"
METHODS = ("GET", "HEAD")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take its time for the first look; tests/kernels/test_readiness.py tries how long it may."""
    monkeypatch.setattr(KG2ATPersonality, "timing", Timing(ready_patience=60.0))


class Unasked(GatewayIdentityProvider):
    def get_user(self, handler: Any) -> Any:
        raise AssertionError(f"{handler.request.path} asked who is there")


@pytest.fixture(
    params=[
        {"auth_token": "a-token"},
        {"identity_provider_class": Unasked},
        {"ip": "127.0.0.1"},
    ]
)
def settings(request: Any) -> dict[str, Any]:
    return {"KernelGatewayApp": request.param}


async def asked(client: Client, path: str) -> tuple[int, dict[str, str]]:
    answer = await client.ask("GET", path)
    assert answer.headers["Content-Type"] == "application/json"
    return answer.code, json.loads(answer.body)


async def test_nobody_needs_a_token_nor_a_name_of_the_gateways(gateway: Client) -> None:
    for path, expected in ((LIVE, {"status": "live"}), (READY, {"status": "ready"})):
        for method in METHODS:
            answer = await gateway.ask(method, path, Host="10.1.2.3:8888")
            assert answer.code == 200 and answer.headers["Cache-Control"] == "no-store"
            assert not answer.headers.get("Access-Control-Allow-Origin") and "Set-Cookie" not in answer.headers
            assert (json.loads(answer.body) if method == "GET" else answer.body) == (
                expected if method == "GET" else b""
            )
        assert (await gateway.ask("GET", f"{path}?token=wrong")).code == 200
        assert (await gateway.ask("GET", path, Origin="http://evil.example")).code == 404
        assert (await gateway.ask("POST", path, {})).code == 405


async def test_what_is_wrong_is_told_without_a_secret(gateway: Client, spark: FakeSpark) -> None:
    shutil.rmtree(spark.root / "spark")
    answer = await gateway.ask("GET", READY)
    assert answer.code == 503 and answer.headers["Retry-After"] == "5"
    assert json.loads(answer.body) == {"reason": "Not ready", "message": readiness.INSTALLATION}
    assert (await gateway.ask("HEAD", READY)).code == 503
    assert await asked(gateway, LIVE) == (200, {"status": "live"})


async def test_what_can_not_be_read_is_refused(gateway: Client) -> None:
    assert (await gateway.ask("GET", f"{READY}?a=%ff")).code == 400


# Begin and end.


async def test_before_its_begin_and_at_its_end_it_is_not_ready(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, run = asyncio.Event(), Adoption.run

    async def held(adoption: Adoption) -> None:
        await go.wait()
        await run(adoption)

    monkeypatch.setattr(Adoption, "run", held)
    await gateways.mute()
    client = await gateways.serve()
    assert await asked(client, READY) == (503, {"reason": "Not ready", "message": readiness.BEGINNING})
    beginning = asyncio.ensure_future(client.app.personality.begin())
    assert (await asked(client, READY))[0] == 503 and not beginning.done()
    assert await asked(client, LIVE) == (200, {"status": "live"})
    go.set()
    await beginning
    assert await asked(client, READY) == (200, {"status": "ready"})
    await client.app.personality.shutdown()
    assert await asked(client, READY) == (503, {"reason": "Not ready", "message": readiness.ENDING})
    assert await asked(client, LIVE) == (200, {"status": "live"})
