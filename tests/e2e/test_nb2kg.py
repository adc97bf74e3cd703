"""nb2kg 0.7.0, which went before `jupyter server --gateway-url`, with the notebook and the Python of its time."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import language
from tests.e2e.language import LANGUAGES, Language
from tests.e2e.side_environment import side_environment
from tests.fakes.gateway_process import Gateway
from tests.fakes.jupyter_server import JupyterServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PYTHON = "3.8"
#: notebook 5.7 names no upper bounds: what each of these brought later it can't work with.
PACKAGES = (
    *("nb2kg==0.7.0", "notebook>=5.7,<6", "tornado<6.2", "jupyter_client<7", "jupyter_core<5", "traitlets<5.10"),
    *("jinja2<3.1", "nbconvert<6", "mistune<1", "pyzmq<25", "ipykernel<6"),
)


class NotebookServer(JupyterServer):
    """A Jupyter Notebook whose kernels are the gateway's, which the environment names."""

    def options(self, gateway: Gateway) -> list[str]:
        managers = {"session": "Session", "kernel": "RemoteKernel", "kernel_spec": "RemoteKernelSpec"}
        return [
            f"--NotebookApp.notebook_dir={self.directory}",
            "--NotebookApp.token=lab",
            "--NotebookApp.nbserver_extensions={'nb2kg': True}",
            *(f"--NotebookApp.{name}_manager_class=nb2kg.managers.{cls}Manager" for name, cls in managers.items()),
        ]


def works(python: str) -> bool:
    """Whether it runs and can make a virtual environment; pyenv's python3.8 on PATH may not."""
    return subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def program() -> tuple[str, ...]:
    """The notebook, in an environment of such a Python."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    named = shutil.which(f"python{PYTHON}")
    candidates = [*([named] if named else []), *map(str, pyenv.glob(f"versions/{PYTHON}.*/bin/python"))]
    found = next(filter(works, candidates), None)
    if found is None:
        pytest.skip(f"no Python {PYTHON} is at hand")
    return str(side_environment("nb2kg", *PACKAGES, python=found) / "bin" / "python"), "-m", "notebook"


@pytest.fixture
def server(gateway: Gateway, tmp_path: Path, program: tuple[str, ...]) -> Iterator[JupyterServer]:
    with NotebookServer(gateway, tmp_path, program, environ={"KG_URL": gateway.url}) as running:
        yield running


@pytest.mark.parametrize("spoken", LANGUAGES, ids=language.name)
def test_a_notebook_behind_nb2kg(server: JupyterServer, gateway: Gateway, spoken: Language) -> None:
    assert spoken.kernel in server.request("GET", "/api/kernelspecs")[1]["kernelspecs"]
    body = {"path": "a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": spoken.kernel}}
    code, session = server.request("POST", "/api/sessions", body)
    assert code == 201, session
    notebook = server.connect(session["kernel"]["id"], uuid.uuid4().hex, 60)
    assert "5050" in notebook.run(spoken.sum(100)).text
    notebook.close()
    assert server.request("DELETE", f"/api/sessions/{session['id']}")[0] == 204
    assert gateway.request("GET", "/api/kernels").body == []
