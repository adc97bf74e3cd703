"""A profile that is not for a user: to them it is as one that was never set up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes.identity import ALICE, BOB, ROOT, NamedTokens, with_users

pytestmark = pytest.mark.gen_test(timeout=60)
PROFILES = {"large": {"spark.cores.max": 8, "users": ["alice"]}, "huge": {"spark.cores.max": 64, "users": "admins"}}
HIDDEN, NEVER = "apache_toree_scala_large", "apache_toree_scala_never"


@pytest.fixture
def settings() -> Any:
    return with_users(NamedTokens, KG2ATPersonality={"profiles": PROFILES})


async def names(gateway: Any, who: dict[str, str]) -> set[str]:
    specs = json.loads((await gateway.ask("GET", "/api/kernelspecs", **who)).body)["kernelspecs"]
    return {name.removeprefix("apache_toree_scala") for name in specs if name.startswith("apache_toree_scala")}


async def test_each_sees_their_own(gateway: Any) -> None:
    assert await names(gateway, ALICE) == {"", "_large"}
    assert await names(gateway, BOB) == {""}
    assert await names(gateway, ROOT) == {"", "_large", "_huge"}


@pytest.mark.parametrize("name", [HIDDEN, HIDDEN.upper(), "apache_toree_scala_huge"])
async def test_by_each_route_it_is_not_there(gateway: Any, name: str) -> None:
    session = json.loads(
        (
            await gateway.ask("POST", "/api/sessions", {"path": "b", "type": "x", "kernel": {"name": "python3"}}, **BOB)
        ).body
    )
    asked = [
        ("GET", "/api/kernelspecs/{}", None),
        ("GET", "/kernelspecs/{}/logo-64x64.png", None),
        ("HEAD", "/kernelspecs/{}/logo-64x64.png", None),
        ("GET", "/kernelspecs/{}/kernel.json", None),
        ("POST", "/api/kernels", {"name": "{}"}),
        ("POST", "/api/sessions", {"path": "a", "type": "notebook", "kernel": {"name": "{}"}}),
        ("PATCH", f"/api/sessions/{session['id']}", {"kernel": {"name": "{}"}}),
    ]
    for method, path, body in asked:
        answers = []
        for each in (name, NEVER):
            sent = json.loads(json.dumps(body).replace("{}", each))
            answer = await gateway.ask(method, path.replace("{}", each), sent, **BOB)
            answers.append((answer.code, answer.reason, (answer.body or b"").decode().replace(each, "NAME")))
        assert answers[0] == answers[1] and answers[0][0] == 404, (method, path, answers)
    assert len(gateway.app.kernel_manager.list_kernel_ids()) == 1
