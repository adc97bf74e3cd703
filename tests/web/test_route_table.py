"""Every route, by every method, asked by everybody: nobody, a wrong token, the owner, another user, the administrator.

The routes and methods are those that the personality gives. One that the table does not know fails a test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.web import RequestHandler
from tornado.websocket import websocket_connect

from tests.fakes.identity import ALICE, BOB, ROOT, WRONG, NamedTokens, OwnProvider, with_users
from tests.web.route_table import FOR_ANYBODY, KERNEL, METHODS, PATCHED, TABLE

UNKNOWN = "0-0-0-0-0"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
#: Of whom nothing is told to another.
LISTS = ["/api/kernels", "/api/sessions", "/kg2at/status", "/api/kernelspecs"]


@pytest.fixture(params=[NamedTokens, OwnProvider])
def settings(request: Any) -> Any:
    return with_users(request.param)


async def owned(gateway: Any) -> dict[str, str]:
    """Return the ids of a kernel and its session, which are alice's."""
    body = {"path": "secret-plans.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    session = json.loads((await gateway.ask("POST", "/api/sessions", body, **ALICE)).body)
    await gateway.app.kernel_manager.get_kernel(session["kernel"]["id"]).answered()
    return {"kernel": session["kernel"]["id"], "session": session["id"]}


def routes(gateway: Any) -> Iterator[tuple[str, type[RequestHandler]]]:
    for pattern, handler, *_ in gateway.app.personality.create_request_handlers():
        yield pattern, handler


def methods(handler: type[RequestHandler]) -> set[str]:
    """The methods that the handler does not leave to tornado, which answers 405."""
    unimplemented = RequestHandler._unimplemented_method  # type: ignore[attr-defined]
    return {name for name in METHODS if getattr(handler, name.lower()) is not unimplemented}


def paths_of(pattern: str) -> list[str]:
    """The paths of the table that come to a route: tornado takes the first that matches."""
    return [path for path in TABLE if re.fullmatch(pattern, path.format(kernel="1-2-3-4-5", session="1-2-3-4-5"))]


async def ask(gateway: Any, method: str, path: str, body: Any, who: dict[str, str]) -> HTTPResponse:
    """Return the answer to one request, which asks for a websocket where the route is one's."""
    answer: HTTPResponse = await gateway.ask(
        method, path, body, **(who | (UPGRADE if path.endswith("/channels") else {}))
    )
    return answer


async def websocket_code(gateway: Any, path: str, who: dict[str, str]) -> int:
    try:
        websocket = await websocket_connect(HTTPRequest(gateway.base_url.replace("http", "ws") + path, headers=who))
    except HTTPClientError as error:
        return error.code
    websocket.close()
    return 101


def test_the_table_has_each_route_with_its_methods(gateway: Any) -> None:
    seen: set[str] = set()
    for pattern, handler in routes(gateway):
        paths = [path for path in paths_of(pattern) if path not in seen]
        assert paths, f"the table has no path of {pattern}"
        seen.update(paths)
        told = {method for path in paths for method in TABLE[path]} | {"OPTIONS"}
        assert told == methods(handler), f"{paths}: {told} in the table, {methods(handler)} of {handler.__name__}"
    assert seen == set(TABLE)


@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("who", [{}, WRONG, {"Authorization": "token"}, {"Cookie": "token=token-of-root"}])
async def test_nobody_gets_anything(gateway: Any, who: dict[str, str]) -> None:
    ids = await owned(gateway)
    before = sorted(gateway.app.kernel_manager.list_kernel_ids())
    for path, told in TABLE.items():
        for method in METHODS:
            body, columns = told.get(method, ({} if method in ("POST", "PUT", "PATCH") else None, (405,)))
            answer = await ask(gateway, method, path.format(**ids), body, who)
            code = columns[0] if path in FOR_ANYBODY else 401
            expected = (200, b"") if method == "OPTIONS" else (code, answer.body)
            assert (answer.code, answer.body) == expected, (method, path)
            assert ids["kernel"].encode() not in answer.body
    assert sorted(gateway.app.kernel_manager.list_kernel_ids()) == before
    assert json.loads((await gateway.ask("GET", "/api/kernels", **ALICE)).body)[0]["execution_state"] == "idle"


@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("column", [0, 1, 2], ids=["owner", "other user", "administrator"])
async def test_who_gets_what(gateway: Any, column: int) -> None:
    who, ids = (ALICE, BOB, ROOT)[column], await owned(gateway)
    for path, told in TABLE.items():
        for method, (body, expected) in told.items():
            at = path.format(**ids)
            if path.endswith("/channels"):
                code = await websocket_code(gateway, at, who)
            else:
                code = (await ask(gateway, method, at, body, who)).code
            assert code == expected[column], (method, path)
            ids = await owned(gateway) if method == "DELETE" else ids


@pytest.mark.gen_test(timeout=120)
async def test_what_is_anothers_is_answered_as_what_never_was(gateway: Any) -> None:
    """By every method, also those that the route does not have; but for the id that was asked for."""
    ids = await owned(gateway)
    unknown = dict.fromkeys(ids, UNKNOWN)
    for path in (path for path in TABLE if "{" in path):
        for method in METHODS:
            body = PATCHED if method in ("POST", "PUT", "PATCH") else None
            answer, other = [await ask(gateway, method, path.format(**each), body, BOB) for each in (ids, unknown)]
            assert shown(answer, ids) == shown(other, unknown), (method, path)
            assert answer.code == (200 if method == "OPTIONS" else 404)


@pytest.mark.gen_test(timeout=60)
async def test_nothing_is_touched_for_another_user(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the answer comes as soon as for what never was: only whose it is is looked up."""
    ids, manager, sessions = await owned(gateway), gateway.app.kernel_manager, gateway.app.session_manager

    def touched(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was done with it")

    with monkeypatch.context() as patch:
        for name in ("get_kernel", "check_known", "shutdown_kernel", "restart_kernel", "kernel_model"):
            patch.setattr(manager, name, touched)
        for name in ("get_session", "update_session", "delete_session"):
            patch.setattr(sessions, name, touched)
        for path in (path for path in TABLE if "{" in path):
            for method in TABLE[path]:
                answer = await ask(gateway, method, path.format(**ids), PATCHED if method == "PATCH" else None, BOB)
                assert answer.code == 404, (method, path)
        assert (await gateway.ask("GET", KERNEL.format(**ids), **ALICE)).code == 500


def shown(answer: HTTPResponse, ids: dict[str, str]) -> Any:
    """All of an answer, without the id that was asked for."""
    body = answer.body.decode()
    for each in ids.values():
        body = body.replace(each, "ID")
    headers = {name: value for name, value in answer.headers.get_all() if name not in ("Date", "Content-Length")}
    return answer.code, answer.reason, body, headers


@pytest.mark.gen_test(timeout=60)
async def test_lists_have_no_trace_of_anothers(gateway: Any) -> None:
    ids = await owned(gateway)
    for path in LISTS:
        body = (await gateway.ask("GET", path, **BOB)).body.decode()
        assert not [trace for trace in (*ids.values(), "secret-plans", "alice") if trace in body], path
        assert path == "/api/kernelspecs" or ids["kernel"] in (await gateway.ask("GET", path, **ALICE)).body.decode()
        assert path == "/api/kernelspecs" or ids["kernel"] in (await gateway.ask("GET", path, **ROOT)).body.decode()


@pytest.mark.gen_test(timeout=60)
async def test_no_route_sends_a_cookie(gateway: Any) -> None:
    ids = await owned(gateway)
    for path, told in TABLE.items():
        for method in METHODS:
            for who in ({}, WRONG, BOB, ROOT, {"Cookie": "username-127-0-0-1=x; _xsrf=y"}):
                body, _ = told.get(method, (None, ()))
                at = path.format(**(ids if who is not ROOT else dict.fromkeys(ids, UNKNOWN)))
                assert "Set-Cookie" not in (await ask(gateway, method, at, body, who)).headers, (method, path)
