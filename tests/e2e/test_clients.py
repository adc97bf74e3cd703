"""What people use: a Jupyter Server with --gateway-url, as behind JupyterLab, and nbclient."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import language
from tests.e2e.language import LANGUAGES, Language
from tests.e2e.python_notebook import ANSWER, JOB
from tests.fakes.gateway_process import Gateway
from tests.fakes.jupyter_server import JupyterServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.mark.parametrize("spoken", LANGUAGES, ids=language.name)
def test_a_notebook_behind_jupyter_server(server: JupyterServer, gateway: Gateway, spoken: Language) -> None:
    body = {"path": "a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": spoken.kernel}}
    code, session = server.request("POST", "/api/sessions", body)
    assert code == 201, session
    kernel_id, name = session["kernel"]["id"], uuid.uuid4().hex
    # JupyterLab opens its websocket, drops it and opens it again.
    server.connect(kernel_id, name, 60).close()
    notebook = server.connect(kernel_id, name, 60)
    assert notebook.run("1 + 1").text == "2"
    assert "5050" in notebook.run(spoken.sum(100)).text
    notebook.close()
    assert server.request("DELETE", f"/api/sessions/{session['id']}")[0] == 204
    assert gateway.request("GET", "/api/kernels").body == []


def test_what_the_gateway_refuses_is_shown_to_the_user(server: JupyterServer) -> None:
    body = {"path": "b.ipynb", "name": "b", "type": "notebook", "kernel": {"name": "no-such-kernel"}}
    code, body = server.request("POST", "/api/sessions", body)
    assert code >= 400 and "There is no kernelspec 'no-such-kernel' here" in body["message"]
    code, specs = server.request("GET", "/api/kernelspecs")
    assert code == 200 and "apache_toree_scala" in specs["kernelspecs"]


@pytest.fixture
def open_gateway(tmp_path: Path) -> Iterator[Gateway]:
    """Run a gateway without a token: jupyter_server's GatewayKernelClient gives its websocket none."""
    options = ("--KG2ATPersonality.allow_unauthenticated=True", "--KernelRestarter.time_to_dead=0.5")
    with Gateway(tmp_path, *options, token="", defaults="spark.master local[2]\n") as running:
        yield running
    assert list(running.runtime.glob("kernel-*")) == []


def test_nbclient_runs_a_python_notebook_until_its_kernel_dies(open_gateway: Gateway) -> None:
    plot = "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2, 3]);"
    cells = [JOB, "spark.range(3)", "%%sql\nselect 40 + 2 as answer", plot, "import os; os._exit(3)"]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.e2e.run_notebook", "spark_python", *cells],
        env=open_gateway.environ | {"JUPYTER_GATEWAY_URL": open_gateway.url},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ended.returncode == 1 and "KernelDied: The kernel died (exit status 3)" in ended.stderr, ended
    outputs = [cell["outputs"] for cell in json.loads(ended.stdout)["cells"]]
    assert ANSWER in json.dumps(outputs[0])
    for shown, kind in zip(outputs[1:4], ("text/html", "text/html", "image/png"), strict=True):
        assert any(kind in output.get("data", {}) for output in shown), (kind, shown)
    assert "(exit status 3)" in json.dumps(outputs[4])
    assert open_gateway.request("GET", "/api/kernels").body == []
