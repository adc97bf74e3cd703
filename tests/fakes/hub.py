"""A real JupyterHub in a process of its own, with a proxy that does nothing, and what its users and services ask it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tests.fakes.ports import held_port
from tests.fakes.wait import wait_until

#: The token of the service that makes users, tokens and servers for the tests; and of one that uses the gateway.
TESTS, CRON = "token-of-the-tests-service", "token-of-the-cron-service"
SCOPE = "access:services!service=kg2at"
#: What a test adds to an administrator's configuration.
CONFIG = """
import sys
from jupyterhub.proxy import Proxy

class NoProxy(Proxy):
    should_start = False
    routes = {{}}
    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {{"routespec": routespec, "target": target, "data": data}}
    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)
    async def get_all_routes(self):
        return dict(self.routes)

c = get_config()
load_subconfig({config!r})
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.bind_url = "http://127.0.0.1:{public_port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allowed_users = {{"alice", "bob"}}
c.Authenticator.admin_users = {{"root"}}
c.JupyterHub.services = [
    *c.JupyterHub.services,
    *{services!r},
    {{"name": "tests", "api_token": {tests!r}}},
    {{"name": "cron", "api_token": {cron!r}}},
]
c.JupyterHub.load_roles = [
    *c.JupyterHub.load_roles,
    {{"name": "tests", "services": ["tests"], "scopes": ["admin:users", "admin:servers", "tokens", "proxy"]}},
    {{"name": "cron", "services": ["cron"], "scopes": [{scope!r}]}},
]
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {home!r} + "/{{username}}"
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.http_timeout = c.Spawner.start_timeout = 180
"""


class Hub:
    """Runs `python -m jupyterhub` in `directory`, with the configuration `config`, which need not say how it runs.

    `services` are more that it has.
    """

    def __init__(self, directory: Path, config: Path, *services: dict[str, Any]) -> None:
        self.directory, self.port = directory, held_port()
        self.api_url = f"http://127.0.0.1:{self.port}/hub/api"
        self.log_path = directory / "hub.log"
        self.config = directory / "hub_config.py"
        values = {"config": str(config), "port": self.port, "public_port": held_port(), "home": str(directory / "home")}
        text = CONFIG.format(tests=TESTS, cron=CRON, scope=SCOPE, services=services, **values)
        self.config.write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Hub:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until it answers."""
        dropped = ("JUPYTERHUB_", "JUPYTER_", "KG_", "KG2AT_")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(self.config)],
                env=environ | {"HOME": str(self.directory)},
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(self._answers, lambda: f"an answer of the Hub:\n{self.log}")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it and its users' servers. Idempotent."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def _answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log
        with contextlib.suppress(OSError):
            return self.request("GET", "/users")[0] == 200
        return False

    def request(self, method: str, path: str, body: Any = None, token: str = TESTS) -> tuple[int, Any]:
        """Ask the Hub's REST API. Return the status and the body."""
        data = None if body is None else json.dumps(body).encode()
        return ask(method, self.api_url + path, token, data)

    def user_token(self, user: str, scopes: Collection[str] = (SCOPE,)) -> str:
        """Return a new token of a user."""
        status, made = self.request("POST", f"/users/{user}/tokens", {"scopes": list(scopes)})
        assert status == 201, made
        return str(made["token"])

    def start_server(self, user: str) -> str:
        """Start a user's server, and return its URL."""
        status, answer = self.request("POST", f"/users/{user}/server")
        assert status in (201, 202), answer
        wait_until(lambda: self.request("GET", f"/users/{user}")[1].get("server"), lambda: f"a server:\n{self.log}")
        [target] = [each["target"] for spec, each in self.request("GET", "/proxy")[1].items() if f"/{user}/" in spec]
        return f"{target}/user/{user}"


def ask(method: str, url: str, token: str, data: bytes | None = None) -> tuple[int, Any]:
    """Send one request and return the answer's status and its JSON; None for an empty body."""
    headers = {"Authorization": f"token {token}"}
    call = urllib.request.Request(url, data=data, method=method, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(call, timeout=60) as answer:
            content = answer.read()
            return answer.status, json.loads(content) if content else None
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
