"""A page of another site, in a browser that reaches the gateway: it starts, ends, reads and hears nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jupyter_server.auth.identity import User
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.web import create_signed_value
from tornado.websocket import websocket_connect

from tests.fakes.identity import ALICE, NamedTokens, with_users
from tests.web.route_table import FOR_ANYBODY, METHODS, TABLE

pytestmark = pytest.mark.gen_test(timeout=60)
#: What a browser says of a page: another site's, one in a sandbox or a file, one at another port.
ORIGINS = ["http://evil.example", "https://127.0.0.1.evil.example", "null", "http://127.0.0.1:1", "file://"]
#: Bodies that a page may send without asking.
FORMS = {
    "text/plain": b'{"name": "python3", "x": "="}',
    "application/x-www-form-urlencoded": b"name=python3",
    "multipart/form-data; boundary=x": b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n{}\r\n--x--\r\n',
}
TOKEN = {"Authorization": "token the-token"}
OPEN: dict[str, Any] = {}
ONE_TOKEN = {"KernelGatewayApp": {"auth_token": "the-token"}}


@pytest.fixture(
    params=[(OPEN, {}), (ONE_TOKEN, TOKEN), (with_users(NamedTokens), ALICE)], ids=["open", "token", "users"]
)
def case(request: Any) -> Any:
    return request.param


@pytest.fixture
def settings(case: Any) -> Any:
    return case[0]


@pytest.fixture
def who(case: Any) -> Any:
    """What a browser would have to send for the request to count: here it does."""
    return case[1]


async def owned(gateway: Any, who: dict[str, str]) -> dict[str, str]:
    """Return the ids of a kernel and its session."""
    body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    session = json.loads((await gateway.ask("POST", "/api/sessions", body, **who)).body)
    await gateway.app.kernel_manager.get_kernel(session["kernel"]["id"]).answered()
    return {"kernel": session["kernel"]["id"], "session": session["id"]}


def state(gateway: Any) -> Any:
    """What runs: a request that did anything would change it."""
    kernels = [(kernel.kernel_id, kernel.pid, kernel.launches) for kernel in gateway.app.kernel_manager.kernels()]
    return kernels, [dict(row) for row in gateway.app.session_manager.rows], len(gateway.app.kernel_manager.starts)


async def websocket_code(gateway: Any, kernel_id: str, headers: dict[str, str]) -> int:
    url = f"{gateway.base_url.replace('http', 'ws')}/api/kernels/{kernel_id}/channels?session_id=a"
    try:
        (await websocket_connect(HTTPRequest(url, headers=headers))).close()
    except HTTPClientError as error:
        return error.code
    return 101


@pytest.mark.parametrize("origin", ORIGINS)
async def test_a_foreign_origin_does_nothing(gateway: Any, who: dict[str, str], origin: str) -> None:
    ids = await owned(gateway, who)
    before, headers = state(gateway), who | {"Origin": origin}
    for path, told in TABLE.items():
        for method in (each for each in METHODS if each != "OPTIONS"):
            body, _ = told.get(method, ({} if method in ("POST", "PUT", "PATCH") else None, ()))
            answer = await gateway.ask(method, path.format(**ids), body, **headers)
            expected = 403 if path.endswith("/channels") else 404
            if who and (method, path) == ("POST", "/kg2at/sign-in"):
                expected = 401  # its form has no token; tests/web/test_page.py tries one that has
            assert answer.code == expected, (method, path, answer.body)
            assert ids["kernel"] not in answer.body.decode().replace(path.format(**ids), "")
            assert "Set-Cookie" not in answer.headers
    assert await websocket_code(gateway, ids["kernel"], headers) == 403
    assert state(gateway) == before


async def test_a_form_needs_no_preflight_and_does_nothing(gateway: Any, who: dict[str, str]) -> None:
    """`<form enctype="text/plain">` and fetch(mode="no-cors") are sent without asking."""
    ids = await owned(gateway, who)
    before = state(gateway)
    for kind, form in FORMS.items():
        headers = who | {"Origin": "http://evil.example", "Content-Type": kind}
        for path in ("/api/kernels", "/api/sessions", f"/api/kernels/{ids['kernel']}/restart"):
            answer = await gateway.ask("POST", path, raw=form, **headers)
            assert answer.code == 404, (kind, path)
    assert state(gateway) == before


async def test_a_preflight_allows_no_method_or_header(gateway: Any) -> None:
    asks = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}
    for path in TABLE:
        at = path.format(kernel="0-0-0-0-0", session="0-0-0-0-0")
        answer = await gateway.ask("OPTIONS", at, Origin="http://evil.example", **asks)
        assert answer.code == 200
        for name in ("Methods", "Headers", "Credentials"):
            assert f"Access-Control-Allow-{name}" not in answer.headers, path


def login_cookie(gateway: Any, name: str) -> str:
    """Return what Jupyter Server's own provider sets for one who is let in (IdentityProvider.set_login_cookie)."""
    cookie = re.sub("[^A-Za-z0-9]", "-", f"username-{gateway.base_url.removeprefix('http://')}")
    value = gateway.app.identity_provider.user_to_cookie(User(name))
    return f"{cookie}={create_signed_value(gateway.app.cookie_secret, cookie, value).decode()}; _xsrf=x"


async def test_a_cookie_is_nobodys_sign(gateway: Any, who: dict[str, str]) -> None:
    ids = await owned(gateway, who)
    for name in ("alice", "root", "anonymous"):
        cookie = {"Cookie": login_cookie(gateway, name)}
        for path in TABLE:
            answer = await gateway.ask("GET", path.format(**ids), **cookie)
            assert (answer.code == 401) is (bool(who) and path not in FOR_ANYBODY), path
            assert "Set-Cookie" not in answer.headers
        assert (await websocket_code(gateway, ids["kernel"], cookie) == 401) is bool(who)


async def test_its_own_origin_is_served(gateway: Any, who: dict[str, str]) -> None:
    ids = await owned(gateway, who)
    headers = who | {"Origin": gateway.base_url}
    assert (await gateway.ask("GET", "/api/kernels", **headers)).code == 200
    assert await websocket_code(gateway, ids["kernel"], headers) == 101
