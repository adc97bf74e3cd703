"""A real JupyterHub, with the configuration that examples/ and docs/users.md have, and the gateway as its service."""

from __future__ import annotations

import importlib.util
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket
from jupyter_server.gateway.gateway_client import GatewayClient

from tests.fakes.channels import Channels
from tests.fakes.gateway_process import PYTHON, Gateway
from tests.fakes.hub import CRON, SCOPE, TESTS, Hub, ask
from tests.fakes.wait import wait_until

#: Seconds for a test with the start of the Hub.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[1]
HUB_CONFIG = ROOT / "examples" / "jupyterhub_config.py"
GATEWAY_CONFIG = ROOT / "examples" / "jupyterhub_gateway_config.py"
PROVIDER = "kg2at_personality.web.identity.hub.JupyterHubIdentityProvider"
KERNELS = str(ROOT / "tests" / "fakes" / "jupyter")
#: What a gateway that is started by a Hub has in its environment, and no kernel may see.
SECRETS = {"JUPYTERHUB_API_TOKEN": "the-services-own-token", "CONFIGPROXY_AUTH_TOKEN": "the-proxys-own-token"}
#: A cell that shows who the kernel is for, and which of these it sees.
SEEN = """
import os
names = ("JUPYTERHUB", "CONFIGPROXY", "KERNEL_USERNAME")
print([value for name, value in os.environ.items() if name.startswith(names)])
"""


def adapted(path: Path, to: Path, **changes: str) -> Path:
    """Write an example's configuration as an administrator would: each pattern in it is there, and is replaced."""
    text = path.read_text(encoding="utf-8")
    for pattern, replacement in changes.items():
        text, count = re.subn(pattern, replacement, text)
        assert count, pattern
    to.write_text(text, encoding="utf-8")
    return to


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jupyterhub")


@pytest.fixture(scope="module")
def gateway(place: Path) -> Gateway:
    """The gateway, which does not run yet."""
    config = place / "gateway_config.py"
    options = [*PYTHON, f"--config={config}", "--KernelGatewayApp.ip=127.0.0.1", "--log-level=DEBUG"]
    return Gateway(place / "gateway", *options, environ=SECRETS, quick=True)


@pytest.fixture(scope="module")
def managed(place: Path) -> Gateway:
    """A gateway that the Hub starts, as its service "managed", which tells it where the Hub is."""
    return Gateway(place / "managed", *PYTHON, f"--KernelGatewayApp.identity_provider_class={PROVIDER}", token="")


@pytest.fixture(scope="module")
def hub(place: Path, gateway: Gateway, managed: Gateway) -> Iterator[Hub]:
    """The Hub and the gateways; all run."""
    (place / "hub").mkdir()
    config = place / "hub" / "jupyterhub_config.py"
    adapted(HUB_CONFIG, config, **{r"https://gateway\.example:8888": gateway.url})
    service = {"name": "managed", "command": managed.argv, "environment": managed.environ | {"JUPYTER_PATH": KERNELS}}
    with Hub(place / "hub", config, service) as hub:
        changes = {r"https://hub\.example/hub/api": hub.api_url, r"(?m)^c\.KernelGatewayApp\.(cert|key)file.*\n": ""}
        adapted(GATEWAY_CONFIG, place / "gateway_config.py", **changes)
        with gateway:
            yield hub


@pytest.fixture
def clean(gateway: Gateway) -> Iterator[None]:
    """Leave no kernel to other tests."""
    yield
    for each in gateway.request("GET", "/api/kernels").body:
        assert gateway.delete(each["id"]) == 204


def start(gateway: Gateway, token: str) -> str:
    answer = gateway.request("POST", "/api/kernels", {}, token)
    assert answer.status == 201, answer
    return str(answer.body["id"])


def kernels(gateway: Gateway, token: str | None) -> list[str]:
    answer = gateway.request("GET", "/api/kernels", token=token)
    assert answer.status == 200, answer
    return sorted(each["id"] for each in answer.body)


@pytest.mark.usefixtures("clean")
class TestUsers:
    def test_each_sees_their_own_kernels_and_an_administrator_all(self, hub: Hub, gateway: Gateway) -> None:
        alice, bob, root = map(hub.user_token, ("alice", "bob", "root"))
        hers, his = start(gateway, alice), start(gateway, bob)
        assert (kernels(gateway, alice), kernels(gateway, bob)) == ([hers], [his])
        assert gateway.request("DELETE", f"/api/kernels/{hers}", token=bob).status == 404
        assert kernels(gateway, root) == kernels(gateway, None) == sorted([hers, his])
        assert gateway.request("DELETE", f"/api/kernels/{hers}", token=root).status == 204
        assert kernels(gateway, alice) == []

    def test_websockets_are_for_the_owner(self, hub: Hub, gateway: Gateway) -> None:
        alice, bob = map(hub.user_token, ("alice", "bob"))
        url = f"ws://127.0.0.1:{gateway.port}/api/kernels/{start(gateway, alice)}/channels?session_id=s&token="
        for token, status in ((bob, 404), ("wrong", 401), (hub.user_token("alice", ["users:activity!user"]), 403)):
            with pytest.raises(websocket.WebSocketBadStatusException) as refused:
                websocket.create_connection(url + token, suppress_origin=True)
            assert refused.value.status_code == status
        channels = Channels(websocket.create_connection(url + alice, timeout=120, suppress_origin=True), "s")
        assert channels.run("print(6 * 7)").text.strip() == "42"
        channels.close()

    def test_another_token_of_the_same_user(self, hub: Hub, gateway: Gateway) -> None:
        made = start(gateway, hub.user_token("alice"))
        assert kernels(gateway, hub.user_token("alice")) == [made]

    def test_a_service_is_a_user_of_its_own(self, hub: Hub, gateway: Gateway) -> None:
        made = start(gateway, CRON)
        assert kernels(gateway, CRON) == [made] and kernels(gateway, hub.user_token("bob")) == []
        [row] = gateway.request("GET", "/kg2at/status").body["kernels"]
        assert row["user"] == "services/cron"

    def test_without_the_scope(self, hub: Hub, gateway: Gateway) -> None:
        for token in (hub.user_token("alice", ["users:activity!user"]), TESTS):
            answer = gateway.request("GET", "/api/kernels", token=token)
            assert (answer.status, answer.body["reason"]) == (403, "Access not granted")
            assert SCOPE in answer.body["message"]

    @pytest.mark.parametrize("token", ["", "wrong", "the-services-own-token"])
    def test_a_wrong_token(self, hub: Hub, gateway: Gateway, token: str) -> None:
        assert gateway.request("GET", "/api/kernels", token=token).status == 401

    def test_no_kernel_sees_what_the_hub_told_the_gateway(self, hub: Hub, gateway: Gateway) -> None:
        for body in ({}, {"env": {"KERNEL_MARK": "1"}}):
            kernel_id = str(gateway.request("POST", "/api/kernels", body, hub.user_token("alice")).body["id"])
            channels = gateway.connect(kernel_id)
            assert channels.run(SEEN).text.strip() == "['alice']"
            channels.close()


def test_a_gateway_that_the_hub_starts(hub: Hub, managed: Gateway) -> None:
    """It has a token of the Hub in its environment."""
    wait_until(managed.is_listening, lambda: f"the gateway that the Hub starts:\n{hub.log}")
    answer = managed.request("GET", "/api/kernels", token=hub.user_token("root"))
    assert answer.status == 403 and "access:services!service=managed" in answer.body["message"]
    managed.token = hub.user_token("root", ["access:services!service=managed"])
    channels = managed.connect(managed.start_kernel())
    assert channels.run(SEEN).text.strip() == "['root']"
    channels.close()


@pytest.mark.usefixtures("clean")
def test_a_users_own_server_shows_the_gateway_its_token(hub: Hub, gateway: Gateway) -> None:
    """The Hub starts it with what the configuration says, and nothing else is set."""
    token = hub.user_token("bob", ["access:servers!user=bob"])
    url = hub.start_server("bob")
    status, made = ask("POST", f"{url}/api/kernels", token, b"{}")
    assert status == 201, made
    [row] = gateway.request("GET", "/kg2at/status").body["kernels"]
    assert (row["kernel_id"], row["user"]) == (made["id"], "bob")
    ws = url.replace("http", "ws", 1) + f"/api/kernels/{made['id']}/channels?session_id=s"
    header = {"Authorization": f"token {token}"}
    channels = Channels(websocket.create_connection(ws, timeout=120, suppress_origin=True, header=header), "s")
    assert channels.run("print(6 * 7)").text.strip() == "42"
    channels.close()
    assert kernels(gateway, hub.user_token("alice")) == []


def test_while_the_hub_is_away(hub: Hub, gateway: Gateway) -> None:
    alice, bob = hub.user_token("alice"), hub.user_token("bob")
    made = start(gateway, alice)
    hub.stop()
    for token in (bob, "wrong-while-away"):
        answer = gateway.request("GET", "/api/kernels", token=token)
        assert (answer.status, answer.body["reason"]) == (503, "JupyterHub unreachable")
    assert gateway.delete(start(gateway, alice)) == 204
    assert kernels(gateway, alice) == [made] and gateway.request("GET", "/api", token="").status == 401
    hub.start()
    assert kernels(gateway, bob) == []
    assert gateway.request("GET", "/api", token="wrong-while-away").status == 401
    assert gateway.request("DELETE", f"/api/kernels/{made}", token=alice).status == 204


def test_the_log_shows_no_token_and_the_gateway_ends_in_order(hub: Hub, gateway: Gateway) -> None:
    alice = hub.user_token("alice")
    assert gateway.request("GET", f"/api?token={alice}", token="").status == 200
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)
    wait_until(lambda: gateway.process is None or gateway.process.poll() is not None, "its end")
    log = gateway.log
    assert "[token]" in log and not [each for each in (alice, CRON, TESTS, *SECRETS.values()) if each in log]
    assert "Unclosed" not in log and "Traceback" not in log
    gateway.start()


# The configuration itself.


def test_the_docs_show_the_configurations_whole() -> None:
    text = (ROOT / "docs" / "users.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks[-2:] == [path.read_text(encoding="utf-8") for path in (HUB_CONFIG, GATEWAY_CONFIG)]


def test_the_variables_are_those_of_jupyter_servers_gateway_client() -> None:
    named = set(re.findall(r'"(JUPYTER_GATEWAY_\w+)":', HUB_CONFIG.read_text(encoding="utf-8")))
    assert named == {GatewayClient.url_env, GatewayClient.auth_token_env}


def test_the_gateways_configuration_names_real_settings(monkeypatch: Any) -> None:
    """Traits of each class that it sets; `get_config` is what traitlets has for such a file."""
    from jupyterhub.services.auth import HubAuth
    from kernel_gateway.gatewayapp import KernelGatewayApp
    from traitlets.config import Config

    from kg2at_personality.personality import KG2ATPersonality

    config = Config()
    exec(compile(GATEWAY_CONFIG.read_text(), str(GATEWAY_CONFIG), "exec"), {"get_config": lambda: config})
    for cls in (KernelGatewayApp, HubAuth, KG2ATPersonality):
        assert config[cls.__name__].keys() <= set(cls.class_trait_names(config=True))
    assert config.keys() == {"KernelGatewayApp", "HubAuth", "KG2ATPersonality"}
    module, _, name = config.KernelGatewayApp.identity_provider_class.rpartition(".")
    assert importlib.util.find_spec(module) and name == "JupyterHubIdentityProvider"
