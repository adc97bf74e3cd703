"""Identity providers and authorizers that administrators write, by Jupyter Server's own classes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import pytest
from jupyter_server.auth.identity import User
from kernel_gateway.auth.identity import GatewayIdentityProvider
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.web import HTTPError, RequestHandler, create_signed_value
from tornado.websocket import websocket_connect

from kg2at_personality.errors import ConfigError
from tests.fakes.identity import ALICE, BOB, ROOT, WRONG, NamedTokens, NotedActions, OwnProvider, OwnTokens, with_users
from tests.web.route_table import FOR_ANYBODY, TABLE

pytestmark = pytest.mark.gen_test(timeout=60)
BODY = {"name": "python3"}
PATHS = ["/api", "/api/swagger.json", "/api/kernels", "/api/sessions", "/kg2at/status", "/nothing", "/api/kernelspecs"]


async def names(gateway: Any) -> list[str]:
    return [kernel.owner for kernel in gateway.app.kernel_manager.kernels()]


async def user_in(gateway: Any, kernel_id: str) -> str:
    return str(await gateway.run(kernel_id, "import os; print(os.environ.get('KERNEL_USERNAME'), end='')"))


async def open_websocket(gateway: Any, kernel_id: str, **headers: str) -> Any:
    url = f"{gateway.base_url.replace('http', 'ws')}/api/kernels/{kernel_id}/channels?session_id=a"
    return await websocket_connect(HTTPRequest(url, headers=headers))


class TestTheCount:
    @pytest.fixture
    def settings(self) -> Any:
        return with_users(OwnProvider)

    async def test_it_is_asked_once_for_each_request(self, gateway: Any) -> None:
        kernel_id = json.loads((await gateway.ask("POST", "/api/kernels", BODY, **ALICE)).body)["id"]
        for path in [*PATHS, f"/api/kernels/{kernel_id}", "/api/kernels/0-0-0-0-0/channels"]:
            for who in (ALICE, BOB, WRONG):
                before = OwnProvider.asked
                await gateway.ask("GET", path, **who)
                assert OwnProvider.asked == before + 1, (path, who)
        before = OwnProvider.asked
        (await open_websocket(gateway, kernel_id, **ALICE)).close()
        assert OwnProvider.asked == before + 1

    async def test_a_preflight_asks_it_nothing(self, gateway: Any) -> None:
        before = OwnProvider.asked
        for path in PATHS:
            assert (await gateway.ask("OPTIONS", path)).code == 200
        assert OwnProvider.asked == before


class Sync(GatewayIdentityProvider):  # type: ignore[misc]
    def get_user(self, handler: RequestHandler) -> User | None:
        return User("alice")


class Async(GatewayIdentityProvider):  # type: ignore[misc]
    async def get_user(self, handler: RequestHandler) -> User | None:
        return User("alice")


class Nobody(GatewayIdentityProvider):  # type: ignore[misc]
    async def get_user(self, handler: RequestHandler) -> User | None:
        return None


class Refusing(GatewayIdentityProvider):  # type: ignore[misc]
    async def get_user(self, handler: RequestHandler) -> User | None:
        raise HTTPError(402, "No money, no kernels")


class Away(GatewayIdentityProvider):  # type: ignore[misc]
    def get_user(self, handler: RequestHandler) -> User | None:
        raise ConfigError("The directory of users is away.")


class Broken(GatewayIdentityProvider):  # type: ignore[misc]
    async def get_user(self, handler: RequestHandler) -> User | None:
        raise ZeroDivisionError("a secret of the provider's")


class Named(GatewayIdentityProvider):  # type: ignore[misc]
    """Knows everybody by what `name` is."""

    name: Any = ""

    def get_user(self, handler: RequestHandler) -> User | None:
        user = User("x")
        user.username = self.name
        return user


ANSWERS = [
    (Sync, 200, ""),
    (Async, 200, ""),
    (Nobody, 401, "token is missing"),
    (Refusing, 402, "No money, no kernels"),
    (Away, 503, "The directory of users is away."),
    (Broken, 500, "error of its own"),
    *(
        (type("Named", (Named,), {"name": name}), 403, "can't be used")
        for name in ("", 7, "a\0b", "a\nb", "a" * 256, "\ud800")
    ),
]


class TestWhatOneAnswers:
    @pytest.fixture(params=ANSWERS, ids=lambda each: f"{each[0].__name__}-{each[1]}")
    def answer(self, request: Any) -> Any:
        return request.param

    @pytest.fixture
    def settings(self, answer: Any) -> Any:
        return with_users(answer[0])

    async def test_each_request_gets_that(self, gateway: Any, answer: Any) -> None:
        _, code, sentence = answer
        for path in PATHS:
            told = await gateway.ask("GET", path, **ROOT)
            assert told.code == (404 if (path, code) == ("/nothing", 200) else code), path
            assert sentence in json.loads(told.body).get("message", "") if code != 200 else True
            assert b"Traceback" not in told.body and b"secret" not in told.body
        started = await gateway.ask("POST", "/api/kernels", BODY)
        assert started.code == (201 if code == 200 else code)
        assert await names(gateway) == (["alice"] if code == 200 else [])
        if code != 200:
            with pytest.raises(HTTPClientError) as error:
                await open_websocket(gateway, "0-0-0-0-0")
            assert error.value.code == code


def login_cookie(gateway: Any, name: str) -> dict[str, str]:
    """Return the cookie that Jupyter Server gives to one who was let in (IdentityProvider.set_login_cookie)."""
    host = gateway.base_url.removeprefix("http://")
    cookie = re.sub("[^A-Za-z0-9]", "-", f"username-{host}")
    fields = dict.fromkeys(("name", "display_name", "initials", "color", "avatar_url"), "x") | {"username": name}
    signed = create_signed_value(gateway.app.cookie_secret, cookie, json.dumps(fields)).decode()
    assert SimpleCookie(f"{cookie}={signed}")[cookie].value == signed
    return {"Cookie": f"{cookie}={signed}"}


class TestOwnTokens:
    """`get_user` is inherited: Jupyter Server's looks for a token, for a cookie, and else lets in Anonymous."""

    @pytest.fixture
    def settings(self) -> Any:
        return with_users(OwnTokens)

    async def test_who_has_one_is_known_and_nobody_else(self, gateway: Any) -> None:
        answer = await gateway.ask("POST", "/api/kernels", BODY | {"env": {"KERNEL_USERNAME": "eve"}}, **ALICE)
        assert answer.code == 201 and await names(gateway) == ["alice"]
        for who in ({}, WRONG, login_cookie(gateway, "alice")):
            for path in PATHS:
                assert (await gateway.ask("GET", path, **who)).code == 401, (path, who)
        assert await user_in(gateway, json.loads(answer.body)["id"]) == "alice"

    async def test_no_cookie_is_sent_and_none_is_heeded(self, gateway: Any) -> None:
        for path in PATHS:
            answer = await gateway.ask("GET", path, **(ALICE | login_cookie(gateway, "root")))
            assert "Set-Cookie" not in answer.headers and answer.code in (200, 404)
        kernel_id = json.loads((await gateway.ask("POST", "/api/kernels", BODY, **ALICE)).body)["id"]
        path = f"/api/kernels/{kernel_id}"
        assert (await gateway.ask("GET", path, **login_cookie(gateway, "alice"))).code == 401
        assert (await gateway.ask("GET", path, **(BOB | login_cookie(gateway, "alice")))).code == 404


class TestAnInheritedOne:
    """One that changes anything but who is there: the one token makes the administrator, as without it."""

    @pytest.fixture(params=["", "the-token"])
    def token(self, request: Any) -> str:
        return str(request.param)

    @pytest.fixture
    def settings(self, token: str) -> Any:
        provider = type("Inherited", (GatewayIdentityProvider,), {})
        return with_users(provider, KernelGatewayApp={"auth_token": token})

    async def test_the_client_says_whose_kernel_it_is(self, gateway: Any, token: str) -> None:
        who = {"Authorization": f"token {token}"} if token else {}
        answer = await gateway.ask("POST", "/api/kernels", BODY | {"env": {"KERNEL_USERNAME": "ann"}}, **who)
        assert answer.code == 201 and "Set-Cookie" not in answer.headers
        assert await names(gateway) == [""]
        assert await user_in(gateway, json.loads(answer.body)["id"]) == "ann"
        for bad in (WRONG, login_cookie(gateway, "alice")) if token else ():
            assert (await gateway.ask("GET", "/api/kernels", **bad)).code == 401


class TestATokenBesides:
    """auth_token and an administrator's own provider: both are asked for."""

    @pytest.fixture
    def settings(self) -> Any:
        return with_users(OwnProvider, KernelGatewayApp={"auth_token": "the-token"})

    async def test_both_are_needed(self, gateway: Any) -> None:
        for path in PATHS:
            assert (await gateway.ask("GET", path, **ALICE)).code == 401
            assert (await gateway.ask("GET", f"{path}?token=wrong", **ALICE)).code == 401
            assert (await gateway.ask("GET", f"{path}?token=the-token", **WRONG)).code == 401
            assert (await gateway.ask("GET", f"{path}?token=the-token")).code == 401
            assert (await gateway.ask("GET", f"{path}?token=the-token", **ALICE)).code in (200, 404)


class TestTheTokenOfOurOwn:
    """auth_token and a provider of kg2at's: an administrator's token, besides those of the users."""

    @pytest.fixture
    def settings(self) -> Any:
        return with_users(NamedTokens, KernelGatewayApp={"auth_token": "the-token"})

    async def test_it_sees_all(self, gateway: Any) -> None:
        kernel_id = json.loads((await gateway.ask("POST", "/api/kernels", BODY, **ALICE)).body)["id"]
        assert (await gateway.ask("GET", f"/api/kernels/{kernel_id}?token=the-token")).code == 200
        own = json.loads((await gateway.ask("POST", "/api/kernels?token=the-token", BODY)).body)["id"]
        assert await names(gateway) == ["alice", ""]
        assert (await gateway.ask("GET", f"/api/kernels/{own}", **ALICE)).code == 404
        assert (await gateway.ask("GET", f"/api/kernels/{own}", **ROOT)).code == 200


class TestNoToken:
    @pytest.fixture
    def settings(self) -> Any:
        return with_users(NamedTokens, KernelGatewayApp={"ip": "0.0.0.0"})

    async def test_users_with_names_need_no_token_besides(self, gateway: Any) -> None:
        """Also under another name than this machine's, as everybody has a token of their own."""
        assert gateway.app.auth_token == ""
        assert (await gateway.ask("GET", "/api/kernels", Host="gateway.example", **ALICE)).code == 200
        assert (await gateway.ask("GET", "/api/kernels", Host="gateway.example")).code == 401


#: Method, path -> what the authorizer is asked; {} is a kernel's or a session's id.
ACTIONS = {
    ("GET", "/api"): ("read", "api"),
    ("HEAD", "/api"): ("read", "api"),
    ("GET", "/api/swagger.json"): ("read", "api"),
    ("HEAD", "/api/swagger.json"): ("read", "api"),
    ("GET", "/api/swagger.yaml"): ("read", "api"),
    ("HEAD", "/api/swagger.yaml"): ("read", "api"),
    ("GET", "/api/kernels"): ("read", "kernels"),
    ("POST", "/api/kernels"): ("write", "kernels"),
    ("GET", "/api/kernels/{kernel}"): ("read", "kernels"),
    ("DELETE", "/api/kernels/{kernel}"): ("write", "kernels"),
    ("POST", "/api/kernels/{kernel}/interrupt"): ("write", "kernels"),
    ("POST", "/api/kernels/{kernel}/restart"): ("write", "kernels"),
    ("GET", "/api/kernels/{kernel}/channels"): ("execute", "kernels"),
    ("GET", "/api/kernelspecs"): ("read", "kernelspecs"),
    ("GET", "/api/kernelspecs/python3"): ("read", "kernelspecs"),
    ("GET", "/kernelspecs/apache_toree_scala/logo-64x64.png"): ("read", "kernelspecs"),
    ("HEAD", "/kernelspecs/apache_toree_scala/logo-64x64.png"): ("read", "kernelspecs"),
    ("GET", "/api/sessions"): ("read", "sessions"),
    ("POST", "/api/sessions"): ("write", "sessions"),
    ("GET", "/api/sessions/{session}"): ("read", "sessions"),
    ("PATCH", "/api/sessions/{session}"): ("write", "sessions"),
    ("DELETE", "/api/sessions/{session}"): ("write", "sessions"),
    ("GET", "/kg2at/status"): ("read", "kernels"),
    ("GET", "/"): ("read", "kernels"),
    ("GET", "/kg2at"): ("read", "kernels"),
    ("GET", "/kg2at/"): ("read", "kernels"),
    ("POST", "/kg2at/sign-out"): ("write", "kernels"),
    ("GET", "/kg2at/kernels/{kernel}"): ("read", "kernels"),
    ("DELETE", "/kg2at/kernels/{kernel}"): ("write", "kernels"),
    ("GET", "/kg2at/kernels/{kernel}/spark/jobs/"): ("read", "kernels"),
    ("HEAD", "/kg2at/kernels/{kernel}/spark/jobs/"): ("read", "kernels"),
    ("POST", "/kg2at/kernels/{kernel}/spark/jobs/"): ("write", "kernels"),
    ("GET", "/metrics"): ("read", "kernels"),
}
#: Those of what anybody may know: it is not asked.
UNASKED = {(method, path) for path in FOR_ANYBODY for method in TABLE[path]}


class TestTheAuthorizer:
    @pytest.fixture
    def settings(self) -> Any:
        return with_users(NamedTokens, KernelGatewayApp={"authorizer_class": NotedActions})

    @pytest.fixture(autouse=True)
    def noted(self) -> Iterator[None]:
        NotedActions.asked.clear()
        NotedActions.refused.clear()
        yield
        NotedActions.refused.clear()

    async def test_it_knows_the_provider(self, gateway: Any) -> None:
        assert gateway.app.authorizer.identity_provider is gateway.app.identity_provider
        assert isinstance(gateway.app.identity_provider, NamedTokens)

    def test_the_table_has_each_route(self, gateway: Any) -> None:
        asks_nobody = {("POST", "/kg2at/sign-in")}  # without its form's token nobody is known
        assert set(ACTIONS) | UNASKED | asks_nobody == {
            (method, path) for path, told in TABLE.items() for method in told
        }

    async def test_a_refusal_is_a_sentence_and_costs_nothing(self, gateway: Any) -> None:
        body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        session = json.loads((await gateway.ask("POST", "/api/sessions", body, **ALICE)).body)
        ids = {"kernel": session["kernel"]["id"], "session": session["id"]}
        await gateway.app.kernel_manager.get_kernel(ids["kernel"]).answered()
        pid = gateway.app.kernel_manager.get_kernel(ids["kernel"]).pid
        NotedActions.refused.update(ACTIONS.values())
        for (method, path), asked in ACTIONS.items():
            NotedActions.asked.clear()
            answer = await gateway.ask(
                method, path.format(**ids), body if method in ("POST", "PATCH") else None, **ALICE
            )
            assert NotedActions.asked == [("alice", *asked)], (method, path)
            assert answer.code == 403
            sentence = f"User is not authorized to {asked[0]} on resource: {asked[1]}."
            assert method == "HEAD" or json.loads(answer.body)["message"] == sentence
        NotedActions.refused.clear()
        [kernel] = gateway.app.kernel_manager.kernels()
        assert (kernel.kernel_id, kernel.pid) == (ids["kernel"], pid) and kernel.execution_state == "idle"
        after = json.loads((await gateway.ask("GET", f"/api/sessions/{ids['session']}", **ALICE)).body)
        assert after["notebook"]["path"] == "a.ipynb"

    async def test_of_anothers_it_is_not_even_asked(self, gateway: Any) -> None:
        kernel_id = json.loads((await gateway.ask("POST", "/api/kernels", BODY, **ALICE)).body)["id"]
        NotedActions.asked.clear()
        assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}", **BOB)).code == 404
        assert NotedActions.asked == []
