from __future__ import annotations

from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient

from tests.web.route_table import FOR_ANYBODY, TABLE

TOKEN = "the-right-token"
ROUTES = [path.format(kernel="1-2-3-4-5", session="1-2-3-4-5") for path in TABLE if path not in FOR_ANYBODY]


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"KernelGatewayApp": {"auth_token": TOKEN}}


@pytest.mark.gen_test
@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "token wrong"}, {"Authorization": TOKEN}, {"Authorization": f"Basic {TOKEN}"}],
)
async def test_no_route_answers_without_the_token(gateway: Any, path: str, headers: dict[str, str]) -> None:
    answer = await gateway.ask("GET", path, **headers)
    assert answer.code == 401, answer.body
    assert b"token is missing or wrong" in answer.body


@pytest.mark.gen_test
@pytest.mark.parametrize("path", ROUTES)
async def test_every_route_answers_with_it(gateway: Any, path: str) -> None:
    assert (await gateway.ask("GET", path, Authorization=f"token {TOKEN}")).code != 401
    # The page's address leads to the one without the token, for browsers that keep its cookie.
    url = f"{gateway.base_url}{path}?token={TOKEN}"
    assert (await AsyncHTTPClient().fetch(url, raise_error=False, follow_redirects=False)).code != 401


@pytest.mark.gen_test
@pytest.mark.parametrize("path", ROUTES)
async def test_preflight_needs_none(gateway: Any, path: str) -> None:
    answer = await gateway.ask("OPTIONS", path)
    assert (answer.code, answer.body) == (200, b"")


@pytest.mark.gen_test
async def test_a_token_beyond_ascii_is_just_wrong(gateway: Any) -> None:
    assert (await gateway.ask("GET", "/api?token=%E2%82%AC")).code == 401


@pytest.mark.gen_test
async def test_the_token_is_not_logged(gateway: Any, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    assert (await gateway.ask("GET", f"/api?token={TOKEN}&a=1")).code == 200
    assert (await gateway.ask("GET", f"/nothing?a=1&token={TOKEN}")).code == 404
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("tornado.access"))
    assert "/nothing?a=1&token=[token]" in logged and TOKEN not in logged
