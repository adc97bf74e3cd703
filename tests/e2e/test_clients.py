"""What people use: a Jupyter Server with --gateway-url, as behind JupyterLab."""

from __future__ import annotations

import uuid

import pytest

from tests.fakes.gateway_process import Gateway
from tests.fakes.jupyter_server import JupyterServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


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
