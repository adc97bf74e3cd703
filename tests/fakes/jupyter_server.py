"""A real Jupyter Server in front of a gateway, in a process of its own, and a client of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import websocket

from tests.fakes.channels import Channels
from tests.fakes.gateway_process import Gateway
from tests.fakes.ports import held_port
from tests.fakes.wait import wait_until

SERVER = (sys.executable, "-m", "jupyter_server")


class JupyterServer:
    """Runs `jupyter server --gateway-url`, and asks it.

    `program`: what to run in its place, with `more` options and variables in `environ`. Notebooks lie in `directory`.
    """

    def __init__(
        self,
        gateway: Gateway,
        directory: Path,
        program: tuple[str, ...] = SERVER,
        more: tuple[str, ...] = (),
        environ: dict[str, str] | None = None,
    ) -> None:
        self.port, self.directory, self.log_path = held_port(), directory, directory / "server.log"
        names = {f"JUPYTER_{name}_DIR": str(directory / name) for name in ("RUNTIME", "DATA", "CONFIG")}
        argv = [*program, f"--port={self.port}", "--no-browser", "--allow-root", *more, *self.options(gateway)]
        env = gateway.environ | names | (environ or {})
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(argv, env=env, stdout=log, stderr=subprocess.STDOUT)

    def options(self, gateway: Gateway) -> list[str]:
        """Return how it comes to the gateway, its folder, and its token, which is "lab"."""
        to_gateway = [f"--gateway-url={gateway.url}", f"--GatewayClient.auth_token={gateway.token}"]
        return [*to_gateway, "--IdentityProvider.token=lab", f"--ServerApp.root_dir={self.directory}"]

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

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

    def __enter__(self) -> JupyterServer:
        wait_until(self._answers, lambda: f"its answer:\n{self.log}", 120)
        return self

    def __exit__(self, *exc: object) -> None:
        # Its handler logs: a signal that comes while it writes a line is lost (kg2at_personality/stop_signals.py).
        for _ in range(12):
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
                return
        self.process.kill()
        raise TimeoutError(f"it did not end:\n{self.log}")

    def _answers(self) -> bool:
        """Return whether it listens."""
        with contextlib.suppress(OSError):
            self.request("GET", "/api")
            return True
        assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log}"
        return False
