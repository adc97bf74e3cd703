"""A real gateway in a process of its own, and what a client of it does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import websocket

from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.channels import ANSWER_LIMIT, Channels
from tests.fakes.forkserver import Fork, ForkServer
from tests.fakes.ports import held_port
from tests.fakes.wait import wait_until

#: Seconds within which a gateway has to listen.
START_LIMIT = 120.0
FORKS = ForkServer("kernel_gateway.gatewayapp", "kg2at_personality.personality", "tests.fakes.kernel_ports")


#: Options of a gateway without Toree: neither Spark nor Java is needed.
PYTHON = ("--KG2ATPersonality.inject_kernelspecs=False", "--KernelGatewayApp.default_kernel_name=python3")
#: For JVMs that live for seconds: C2 and G1 take more than half of a processor's time then, and give nothing back.
QUICK_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def defaults_on(cluster: StandaloneCluster, *more: str) -> str:
    """Return the spark-defaults.conf of kernels on `cluster`, with `more` lines."""
    ui_port = cluster.ui_url.rpartition(":")[2]
    lines = [f"spark.master {cluster.master_url}", f"spark.master.ui.port {ui_port}", "spark.executor.memory 512m"]
    lines += [f"spark.{who}.extraJavaOptions {QUICK_JVM}" for who in ("driver", "executor")]
    return "\n".join((*lines, *more, ""))


@dataclass
class Answer:
    """An HTTP answer: status, parsed JSON body (None when it is empty), headers."""

    status: int
    body: Any
    headers: Any = field(default_factory=dict)


class Gateway:
    """Runs `python -m kernel_gateway` with kg2at in `directory`, with nothing of the machine's own Jupyter set-up."""

    def __init__(
        self,
        directory: Path,
        *options: str,
        environ: dict[str, str] | None = None,
        defaults: str = "",
        token: str = "s3cr3t-gateway-token",
        personality: str = "kg2at_personality",
        nohup: bool = False,
        quick: bool = False,
    ) -> None:
        """`quick`: as a fork of a process that has imported all, and with the python3 of tests/conftest.py."""
        self.directory, self.token, self.port = directory, token, held_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.runtime = directory / "runtime"
        self.conf_dir = directory / "conf"
        for path in (self.runtime, self.conf_dir, directory / "data", directory / "config", directory / "cwd"):
            path.mkdir(parents=True, exist_ok=True)
        (self.conf_dir / "spark-defaults.conf").write_text(defaults)
        self.argv = [
            *([] if not nohup else ["nohup"]),
            *(sys.executable, "-m", "kernel_gateway"),
            f"--KernelGatewayApp.api={personality}",
            f"--KernelGatewayApp.port={self.port}",
            "--KernelGatewayApp.port_retries=0",
            *options,
        ]
        kernels = {"JUPYTER_PATH": os.environ.get("JUPYTER_PATH", "")} if quick else {}
        self.environ = self._environ() | kernels | (environ or {})
        self.nohup, self.quick = nohup, quick
        self.log_path = directory / "gateway.log"
        self.process: subprocess.Popen[bytes] | Fork | None = None

    def _environ(self) -> dict[str, str]:
        dropped = ("KG_", "KG2AT_", "SPARK_", "JUPYTER_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return inherited | {
            "SPARK_CONF_DIR": str(self.conf_dir),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_DATA_DIR": str(self.directory / "data"),
            "JUPYTER_CONFIG_DIR": str(self.directory / "config"),
            "KG_AUTH_TOKEN": self.token,
            "KG2AT_WARM_KERNELS": "{}",
        }

    def __enter__(self) -> Gateway:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until it answers."""
        self.process = self._fork() if self.quick else self._popen()
        wait_until(self._answers, lambda: f"an answer of the gateway:\n{self.log}", START_LIMIT)

    def _answers(self) -> bool:
        """Return whether it answers. Raises RuntimeError when it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"the gateway ended with {self.process.returncode}:\n{self.log}")
        return self.is_listening()

    def is_listening(self) -> bool:
        """Return whether a gateway answers at its URL, whoever has started it."""
        with contextlib.suppress(OSError):
            return self.request("GET", "/api").status in (200, 401)
        return False

    def _fork(self) -> Fork:
        streams = (os.devnull, "rb"), (self.log_path, "ab"), (self.log_path, "ab")
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(open(path, mode)).fileno() for path, mode in streams]
            return FORKS.start(self.argv[2:], self.environ, self.directory / "cwd", files, session=True)

    def _popen(self) -> subprocess.Popen[bytes]:
        ignore = (lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if self.nohup else None
        with open(self.log_path, "ab") as log:
            return subprocess.Popen(
                self.argv,
                env=self.environ,
                cwd=self.directory / "cwd",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=ignore,
            )

    def kill(self) -> None:
        """Send SIGKILL, so that it can't tidy up, and wait for its end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, limit: float = 60.0) -> int:
        """Send SIGTERM and return the exit status. Raises TimeoutError, and kills it, after `limit` seconds."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(limit)
            except subprocess.TimeoutExpired:
                self.kill()
                raise TimeoutError(f"the gateway did not end within {limit} s:\n{self.log}") from None
        return self.process.returncode

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    # What a client does.

    def request(
        self, method: str, path: str, body: Any = None, token: str | None = None, raw: bytes | None = None
    ) -> Answer:
        """Send one request and return the answer. `raw` is sent as it is; `token` "" sends none, None the right one."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {self.token if token is None else token}"} if token != "" else {}
        call = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(call, timeout=ANSWER_LIMIT) as answer:
                return _answer(answer.status, answer.read(), answer.headers)
        except urllib.error.HTTPError as error:
            return _answer(error.code, error.read(), error.headers)

    def start_kernel(self, name: str | None = None, **body: Any) -> str:
        """Start a kernel and return its id."""
        answer = self.request("POST", "/api/kernels", body | ({"name": name} if name else {}))
        assert answer.status == 201, answer
        return str(answer.body["id"])

    def delete(self, kernel_id: str) -> int:
        return self.request("DELETE", f"/api/kernels/{kernel_id}").status

    def connect(self, kernel_id: str, session: str | None = None, timeout: float = ANSWER_LIMIT) -> Channels:
        """Open a websocket to the kernel; waits until the kernel answers."""
        session = session or uuid.uuid4().hex
        url = f"ws://127.0.0.1:{self.port}/api/kernels/{kernel_id}/channels?session_id={session}&token={self.token}"
        return Channels(websocket.create_connection(url, timeout=timeout, suppress_origin=True), session)


def _answer(status: int, content: bytes, headers: Any) -> Answer:
    try:
        return Answer(status, json.loads(content) if content else None, headers)
    except ValueError:
        return Answer(status, content.decode("utf-8", "replace"), headers)
