"""DNS rebinding: a web page whose name was moved to this machine, which asks an open gateway as if it were its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from kg2at_personality.web.host_header import is_local
from tests.web.route_table import FOR_ANYBODY, METHODS, TABLE

#: Hosts that a page's owner can choose, and what looks like this machine's.
FOREIGN = [
    *("evil.example", "evil.example:8888", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example."),
    *("localhost@evil.example", "evil.example/localhost", "localhost:8888:8888", "[::1]evil.example", "[::1"),
    *(
        "192.0.2.1",
        "192.0.2.1:8888",
        "[2001:db8::1]",
        "0x7f.1",
        "2130706433",
        "127.1",
        "LOCALHOST2",
        "[localhost]",
        ":80",
    ),
]
OWN = [
    *("localhost", "localhost:8888", "LocalHost", "localhost.", "127.0.0.1", "127.0.0.1:8888", "127.9.9.9"),
    *("[::1]", "[::1]:8888", "[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]:80"),
]
BODY = {"name": "python3"}


@pytest.mark.parametrize("host", FOREIGN)
def test_a_host_that_others_own(host: str) -> None:
    assert not is_local(host, ["localhost"], "127.0.0.1")


@pytest.mark.parametrize("host", OWN)
def test_a_host_of_this_machine(host: str) -> None:
    assert is_local(host, ["localhost"], None)


@pytest.mark.parametrize(
    ("host", "address", "served"),
    [
        ("10.0.0.5:8888", "10.0.0.5", True),
        ("10.0.0.6:8888", "10.0.0.5", False),
        ("10.0.0.5", "::ffff:10.0.0.5", True),
        ("[fe80::1]:8888", "fe80::1%eth0", True),
        ("[fe80::1%25eth0]", "fe80::1", True),
        ("[fe80::2]", "fe80::1%eth0", False),
        ("10.0.0.5", None, False),
    ],
)
def test_the_address_at_which_a_request_arrives(host: str, address: str | None, served: bool) -> None:
    assert is_local(host, ["localhost"], address) is served


def test_names_that_the_administrator_gives() -> None:
    assert is_local("Gateway.Example:80", ["gateway.example."], None)
    assert not is_local("localhost", [], None) and is_local("127.0.0.1", [], None)
    assert is_local("10.0.0.5:80", ["10.0.0.5"], None) and not is_local("", ["", "*"], None)


@pytest.mark.gen_test(timeout=60)
async def test_no_route_answers_a_page_of_another_name(gateway: Any) -> None:
    evil = {"Host": "evil.example:8888", "Origin": "http://evil.example:8888"}
    for path in (
        each.format(kernel="0-0-0-0-0", session="0-0-0-0-0") for each in [*TABLE, "/"] if each not in FOR_ANYBODY
    ):
        for method in METHODS:
            body = {} if method in ("POST", "PUT", "PATCH") else None
            assert (await gateway.ask(method, path, body, **evil)).code == 403, (method, path)
    for path, body in (("/api/kernels", BODY), ("/api/sessions", {"path": "a", "type": "notebook", "kernel": BODY})):
        answer = await gateway.ask("POST", path, body, **evil)
        assert answer.code == 403 and "'evil.example:8888'" in json.loads(answer.body)["message"]
        assert "local_hostnames" in json.loads(answer.body)["message"]
    assert gateway.app.kernel_manager.list_kernels() == []


@pytest.mark.gen_test(timeout=60)
async def test_no_websocket_opens_for_it(gateway: Any) -> None:
    kernel_id = await gateway.start()
    await gateway.app.kernel_manager.get_kernel(kernel_id).answered()
    url = f"{gateway.base_url.replace('http', 'ws')}/api/kernels/{kernel_id}/channels?session_id=a"
    evil = {"Host": "evil.example:8888", "Origin": "http://evil.example:8888"}
    with pytest.raises(HTTPClientError) as error:
        await websocket_connect(HTTPRequest(url, headers=evil))
    assert error.value.code == 403
    (await websocket_connect(HTTPRequest(url, headers={"Host": "localhost:1", "Origin": "http://localhost:1"}))).close()


@pytest.mark.gen_test(timeout=60)
async def test_its_own_names_are_served(gateway: Any) -> None:
    for host in OWN:
        assert (await gateway.ask("GET", "/api/kernels", Host=host)).code == 200, host


class TestToken:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"KernelGatewayApp": {"auth_token": "a-token"}}

    @pytest.mark.gen_test
    async def test_with_a_token_any_name_will_do(self, gateway: Any) -> None:
        """As behind a proxy; a page of another name has no token."""
        headers = {"Host": "gateway.example", "Authorization": "token a-token"}
        assert (await gateway.ask("GET", "/api/kernels", **headers)).code == 200
        assert (await gateway.ask("GET", "/api/kernels", Host="gateway.example")).code == 401


class TestNames:
    @pytest.fixture(
        params=[
            {"KG2ATPersonality": {"allow_remote_access": True}},
            {"KG2ATPersonality": {"local_hostnames": ["gateway.example"]}},
            {"KernelGatewayApp": {"ip": "gateway.example"}, "KG2ATPersonality": {"allow_unauthenticated": True}},
        ]
    )
    def settings(self, request: Any) -> Any:
        return request.param

    @pytest.mark.gen_test
    async def test_what_the_administrator_allows(self, gateway: Any) -> None:
        assert (await gateway.ask("GET", "/api/kernels", Host="gateway.example:8888")).code == 200
