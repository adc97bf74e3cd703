"""JupyterHub's users, by a Hub that answers what a test says. tests/test_jupyterhub.py asks a real one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from kernel_gateway.gatewayapp import KernelGatewayApp
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.websocket import WebSocketClientConnection, websocket_connect
from traitlets.config import Config

from tests.fakes.app import Client
from tests.fakes.toree import FakeSpark
from tests.fakes.wait import until

PROVIDER = "kg2at_personality.web.identity.hub.JupyterHubIdentityProvider"
SCOPE = "access:services!service=kg2at"
ADMINISTRATORS = "the-administrators-own-token"


@dataclass
class FakeHub:
    """Answers GET /hub/api/user: by token what the body is, and the status; 403 for other tokens, as a Hub does."""

    url: str
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    #: While it is cleared the Hub hangs.
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    def knows(self, token: str, name: object, *scopes: str, status: int = 200, **more: Any) -> None:
        model = {"kind": "user", "name": name, "admin": False, "scopes": list(scopes)} | more
        self.answers[token] = status, json.dumps(model)


class UserHandler(web.RequestHandler):
    def initialize(self, hub: FakeHub) -> None:
        self.hub = hub

    async def get(self) -> None:
        token = self.request.headers["Authorization"].removeprefix("token ")
        self.hub.asked.append(token)
        await self.hub.answering.wait()
        status, body = self.hub.answers.get(token, (403, '{"status": 403}'))
        self.set_status(status, "said so")
        self.finish(body)


@pytest.fixture
def hub(io_loop: Any) -> Iterator[FakeHub]:
    sockets = bind_sockets(0, "127.0.0.1")
    fake = FakeHub(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/hub/api")
    fake.answering.set()

    async def serve() -> HTTPServer:
        server = HTTPServer(web.Application([("/hub/api/user", UserHandler, {"hub": fake})]))
        server.add_sockets(sockets)
        return server

    server = io_loop.run_sync(serve)
    yield fake
    fake.answering.set()
    server.stop()
    io_loop.run_sync(server.close_all_connections)


@pytest.fixture
def settings(hub: FakeHub) -> dict[str, Any]:
    return {
        "KernelGatewayApp": {"identity_provider_class": PROVIDER, "auth_token": ADMINISTRATORS},
        "HubAuth": {"api_url": hub.url, "access_scopes": {SCOPE}},
        "JupyterHubIdentityProvider": {"timeout": 5.0},
    }


async def asked(gateway: Client, token: str, path: str = "/api/kernels", method: str = "GET") -> tuple[int, Any]:
    """Ask the gateway with a token. Return the status and the body."""
    answer = await gateway.ask(method, path, Authorization=f"token {token}")
    return answer.code, json.loads(answer.body)


@pytest.mark.gen_test
async def test_a_user_and_an_administrator_of_the_hub(gateway: Client, hub: FakeHub) -> None:
    hub.knows("a", "alice", SCOPE)
    hub.knows("r", "root", "access:services", admin=True)
    _, kernel = await asked(gateway, "a", method="POST")
    assert gateway.app.kernel_manager.owner_of(kernel["id"]) == "alice"
    assert [each["id"] for each in (await asked(gateway, "r"))[1]] == [kernel["id"]]
    assert [each["id"] for each in (await asked(gateway, ADMINISTRATORS))[1]] == [kernel["id"]]


@pytest.mark.gen_test
async def test_a_service_is_not_the_user_of_its_name(gateway: Client, hub: FakeHub) -> None:
    hub.knows("a", "alice", SCOPE)
    hub.knows("s", "alice", SCOPE, kind="service")
    _, kernel = await asked(gateway, "s", method="POST")
    assert gateway.app.kernel_manager.owner_of(kernel["id"]) == "services/alice"
    assert await asked(gateway, "a") == (200, [])
    assert (await asked(gateway, "a", f"/api/kernels/{kernel['id']}"))[0] == 404


@pytest.mark.gen_test
async def test_the_hub_is_asked_once_for_a_token_good_or_wrong(gateway: Client, hub: FakeHub) -> None:
    hub.knows("a", "alice", SCOPE)
    codes = [(await asked(gateway, token))[0] for token in ("a", "wrong") * 3]
    assert codes == [200, 401] * 3 and hub.asked == ["a", "wrong"]


@pytest.mark.gen_test
@pytest.mark.parametrize("scopes", [[], ["access:services!service=other"], ["access:servers!server=alice/", "users"]])
async def test_without_the_scope(gateway: Client, hub: FakeHub, caplog: Any, scopes: list[str]) -> None:
    hub.knows("a", "alice", *scopes)
    code, body = await asked(gateway, "a")
    assert (code, body["reason"]) == (403, "Access not granted")
    assert body["message"].startswith(f"Your token of JupyterHub lacks the scope {SCOPE}, which opens this gateway.")
    assert "refused: GET /api/kernels from 127.0.0.1: 403" in caplog.text


@pytest.mark.gen_test
@pytest.mark.parametrize("token", ["", "%0d%0aX: y", "%E2%82%AC", "a b", "%00", "x" * 2000])
async def test_what_can_be_no_token_is_not_sent_to_the_hub(gateway: Client, hub: FakeHub, token: str) -> None:
    answer = await gateway.ask("GET", f"/api?token={token.replace(' ', '%20')}")
    assert answer.code == 401 and hub.asked == []


NONSENSE = [
    (200, ""),
    (200, "<html>"),
    (200, "[]"),
    (200, '"alice"'),
    (200, "{}"),
    (200, '{"name": "alice"}'),
    (200, '{"name": "alice", "scopes": null}'),
    (200, '{"name": "alice", "scopes": [[]]}'),
    (200, '{"name": "alice", "scopes": "access:services"}'),
    (200, f'{{"name": "", "admin": true, "scopes": ["{SCOPE}"]}}'),
    (200, f'{{"name": null, "scopes": ["{SCOPE}"]}}'),
    (200, f'{{"name": ["alice"], "scopes": ["{SCOPE}"]}}'),
    (200, f'{{"name": "al\\u0000ice", "scopes": ["{SCOPE}"]}}'),
    (200, f'{{"name": "\\ud800", "scopes": ["{SCOPE}"]}}'),
    (404, "Not found"),
    (500, "Oops"),
    (503, "{}"),
    (599, ""),
    (799, ""),
]


@pytest.mark.gen_test
@pytest.mark.parametrize("answer", NONSENSE, ids=str)
async def test_nonsense_is_a_503_and_nothing_that_stays(
    gateway: Client, hub: FakeHub, answer: tuple[int, str], caplog: Any
) -> None:
    hub.answers["a"] = answer
    code, body = await asked(gateway, "a")
    assert (code, body["reason"]) == (503, "JupyterHub unreachable")
    assert body["message"] == "JupyterHub can't be asked who you are. Try again; the gateway's log says more."
    assert hub.url in caplog.text and "Traceback" not in caplog.text
    hub.knows("a", "alice", SCOPE)
    assert await asked(gateway, "a") == (200, [])


@pytest.mark.gen_test
async def test_who_is_no_administrator(gateway: Client, hub: FakeHub) -> None:
    """What is not JSON's true is not enough."""
    await asked(gateway, ADMINISTRATORS, method="POST")
    hub.knows("a", "alice", SCOPE, admin="false")
    assert await asked(gateway, "a") == (200, [])


class TestAHubThatHangs:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return settings | {"JupyterHubIdentityProvider": {"timeout": 0.3}}

    @pytest.mark.gen_test
    async def test_holds_up_who_is_unknown_alone(self, gateway: Client, hub: FakeHub) -> None:
        hub.knows("a", "alice", SCOPE)
        assert (await asked(gateway, "a"))[0] == 200
        hub.answering.clear()
        unknown = asyncio.ensure_future(asked(gateway, "b"))
        assert (await asked(gateway, "a"))[0] == 200 and not unknown.done()
        assert (await unknown)[0] == 503
        hub.answering.set()
        assert (await asked(gateway, "b"))[0] == 401

    @pytest.mark.gen_test
    async def test_answers_of_the_hub_are_kept_for_cache_max_age(self, gateway: Client, hub: FakeHub) -> None:
        hub.knows("a", "alice", SCOPE)
        assert (await asked(gateway, "a"))[0] == 200
        gateway.app.identity_provider._hub_auth.cache.timestamps.update(dict.fromkeys(_kept(gateway), -1e9))
        hub.answering.clear()
        assert (await asked(gateway, "a"))[0] == 503


def _kept(gateway: Client) -> list[str]:
    """What HubAuth keeps answers by."""
    return list(gateway.app.identity_provider._hub_auth.cache.values)


@pytest.mark.gen_test
async def test_wrong_tokens_do_not_pile_up(gateway: Client, hub: FakeHub) -> None:
    gateway.app.identity_provider.max_wrong_tokens = 5
    for number in range(12):
        assert (await asked(gateway, f"wrong-{number}"))[0] == 401
    assert len(_kept(gateway)) == 2


class TestOpenWebsockets:
    """A user's websocket, once what HubAuth keeps is too old."""

    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return settings | {"JupyterHubIdentityProvider": {"timeout": 0.3, "recheck_interval": 0.05}}

    async def opened(self, gateway: Client, hub: FakeHub) -> WebSocketClientConnection:
        hub.knows("a", "alice", SCOPE)
        _, kernel = await asked(gateway, "a", method="POST")
        url = gateway.base_url.replace("http", "ws", 1)
        websocket = await websocket_connect(f"{url}/api/kernels/{kernel['id']}/channels?token=a")
        gateway.app.identity_provider._hub_auth.cache.clear()
        return websocket

    @pytest.mark.gen_test
    @pytest.mark.parametrize("scopes", [None, []])
    async def test_is_closed_when_the_hub_knows_them_no_more_or_takes_the_scope(
        self, gateway: Client, hub: FakeHub, scopes: list[str] | None
    ) -> None:
        websocket = await self.opened(gateway, hub)
        hub.answers.clear()
        if scopes is not None:
            hub.knows("a", "alice", *scopes)
        gateway.app.identity_provider._hub_auth.cache.clear()
        while await asyncio.wait_for(websocket.read_message(), 20) is not None:
            pass
        assert websocket.close_code == 1008

    @pytest.mark.gen_test
    async def test_stays_open_while_the_hub_is_away(self, gateway: Client, hub: FakeHub, caplog: Any) -> None:
        websocket = await self.opened(gateway, hub)
        hub.answers["a"] = (503, "{}")
        gateway.app.identity_provider._hub_auth.cache.clear()
        await until(lambda: "open websockets" in caplog.text, "a look in vain")
        hub.knows("a", "alice", SCOPE)
        asks = len(hub.asked)
        await until(lambda: len(hub.asked) > asks, "another look")
        assert websocket.close_code is None
        websocket.close()


def test_a_gateway_without_it_needs_no_jupyterhub() -> None:
    modules = "kg2at_personality.personality, kg2at_personality.web.identity.hub"
    code = f"import sys, {modules}; sys.exit('jupyterhub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


class TestStart:
    """What keeps a gateway from starting."""

    def refused(self, caplog: Any, **hub_auth: Any) -> str:
        config = Config({"KernelGatewayApp": {"api": "kg2at_personality", "identity_provider_class": PROVIDER}})
        config.HubAuth.update(hub_auth)
        app = KernelGatewayApp(config=config)
        app.log.propagate = True
        with pytest.raises(SystemExit):
            app.initialize([], new_httpserver=False)
        [sentence] = [record.getMessage() for record in caplog.records if record.levelname == "CRITICAL"]
        return str(sentence)

    def test_without_jupyterhub(self, io_loop: Any, spark: FakeSpark, caplog: Any, monkeypatch: Any) -> None:
        monkeypatch.setitem(sys.modules, "jupyterhub.services.auth", None)
        said = self.refused(caplog, access_scopes={SCOPE})
        assert said.startswith("kg2at can't start. JupyterHubIdentityProvider needs the package jupyterhub: ")
        assert "pip install 'kg2at[hub]'" in said

    def test_without_a_scope(self, io_loop: Any, spark: FakeSpark, caplog: Any, monkeypatch: Any) -> None:
        for name in ("JUPYTERHUB_SERVICE_NAME", "JUPYTERHUB_OAUTH_ACCESS_SCOPES", "JUPYTERHUB_OAUTH_SCOPES"):
            monkeypatch.delenv(name, raising=False)
        assert "Set JUPYTERHUB_SERVICE_NAME to the service's name" in self.refused(caplog)
