"""What people use: a Jupyter Server with --gateway-url, as behind JupyterLab."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from tests.e2e.gateway import Channels, Gateway, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


class JupyterServer:
    """`jupyter server --gateway-url`, with a client of its own."""

    def __init__(self, gateway: Gateway, directory: Path) -> None:
        self.port = free_port()
        names = {f"JUPYTER_{name}_DIR": str(directory / name) for name in ("RUNTIME", "DATA", "CONFIG")}
        argv = [sys.executable, "-m", "jupyter_server", f"--port={self.port}", "--no-browser", "--allow-root"]
        argv += [f"--gateway-url={gateway.url}", f"--GatewayClient.auth_token={gateway.token}"]
        argv += ["--IdentityProvider.token=lab", f"--ServerApp.root_dir={directory}"]
        self.process = subprocess.Popen(
            argv, env=gateway.environ | names, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": "token lab"}
        call = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(call, timeout=60) as answer:
                content = answer.read()
                return answer.status, json.loads(content) if content else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def connect(self, kernel_id: str, session: str, timeout: float) -> Channels:
        url = f"ws://127.0.0.1:{self.port}/api/kernels/{kernel_id}/channels?session_id={session}&token=lab"
        return Channels(websocket.create_connection(url, timeout=timeout, suppress_origin=True), session)


@pytest.fixture
def server(gateway: Gateway, tmp_path: Path) -> Iterator[JupyterServer]:
    running = JupyterServer(gateway, tmp_path)
    limit = time.monotonic() + 60
    while True:
        try:
            running.request("GET", "/api")
            break
        except OSError:
            assert time.monotonic() < limit and running.process.poll() is None
            time.sleep(0.1)
    yield running
    running.process.terminate()
    running.process.wait(30)


def test_a_notebook_behind_jupyter_server(server: JupyterServer, gateway: Gateway) -> None:
    body = {"path": "a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": "apache_toree_scala"}}
    code, session = server.request("POST", "/api/sessions", body)
    assert code == 201, session
    kernel_id, name = session["kernel"]["id"], uuid.uuid4().hex
    # JupyterLab opens its websocket, drops it and opens it again.
    server.connect(kernel_id, name, 5).close()
    notebook = server.connect(kernel_id, name, 60)
    assert notebook.run("1 + 1").text == "2"
    assert "5050.0" in notebook.run("sc.parallelize(1 to 100).sum()").text
    notebook.close()
    assert server.request("DELETE", f"/api/sessions/{session['id']}")[0] == 204
    assert gateway.request("GET", "/api/kernels").body == []


def test_what_the_gateway_refuses_is_shown_to_the_user(server: JupyterServer) -> None:
    body = {"path": "b.ipynb", "name": "b", "type": "notebook", "kernel": {"name": "no-such-kernel"}}
    code, body = server.request("POST", "/api/sessions", body)
    assert code >= 400 and "There is no kernelspec 'no-such-kernel' here" in body["message"]
    code, specs = server.request("GET", "/api/kernelspecs")
    assert code == 200 and "apache_toree_scala" in specs["kernelspecs"]
