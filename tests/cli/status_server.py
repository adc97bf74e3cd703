"""A gateway that answers /kg2at/status as a test says, and `jupyter kg2at status` that asks it."""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.cli.program import run

#: As the warm pool says it (kernels/warm_pool.py).
WARM = {"kernel_id": "77a1", "name": "apache_toree_scala", "state": "ready", "since": "2026-11-22T20:00:00Z", "pid": 42}
WAITING: dict[str, Any] = {"kernels": [WARM, WARM | {"kernel_id": "88b2", "state": "starting", "pid": None}]}
WAITING |= {"handed_out": 3, "missed": {"none waited": 1, "its driver has 2g": 2}, "paused": "too b\x1b[2Jusy"}
PROGRAM = [sys.executable, "-m", "kg2at_personality.cli", "status"]
TOKEN = "s3cr3t"
CLUSTER = {"master": "http://m:8080", "status": "ALIVE", "cores_total": 8, "cores_free": 3, "cores_promised": 2}
CLUSTER |= {"memory_total_mib": 8192, "memory_free_mib": 2048, "workers": 2, "age_s": 1.2}
KERNEL = {"kernel_id": "0edaa714", "name": "apache_toree_scala", "user": "ada", "cores": 2, "state": "busy, holds 2"}
KERNEL |= {"app_id": "app-1", "pid": 4711, "since": "2026-11-22T20:00:00Z"}
KERNEL |= {"cores_held": 1, "cores_admitted": 3, "given_back": 2, "idle_since": None}
WAITER = {"kernel_id": "b", "name": "apache_toree_sql", "user": "b\x1b[2Job", "cores": 1, "waited_s": 7.4}
FULL: dict[str, Any] = {
    "cluster": CLUSTER,
    "queue": [WAITER | {"position": 1, "app_id": "app-2"}],
    "kernels": [KERNEL],
    "clusters": [{"cluster": CLUSTER, "queue": [], "urls": ["http://m:8080"]}],
    "zombies": [{"kernel_id": "dead", "pid": 99, "reason": "not permitted"}],
    "warm": WAITING,
}


class Fake(ThreadingHTTPServer):
    """Answers /kg2at/status with `status`; takes a DELETE for the kernels in it."""

    status: Any = FULL
    code, raw, base = 200, b"", ""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        super().__init__(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: Fake

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != f"token {TOKEN}":
            return self.answer(401, b"{}")
        if self.path != f"{self.server.base}/kg2at/status":
            return self.answer(404, b"{}")
        self.answer(self.server.code, self.server.raw or json.dumps(self.server.status).encode())

    def do_DELETE(self) -> None:
        kernel_id = self.path.rpartition("/")[2]
        known = kernel_id in [kernel["kernel_id"] for kernel in self.server.status["kernels"]]
        self.server.deleted.append(kernel_id)
        self.answer(204 if known else 404, b"")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status in (301, 302):
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    dropped = ("KG_", "KG2AT_", "JUPYTER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return kept | {"JUPYTER_RUNTIME_DIR": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path), "TZ": "UTC"} | more


def status(env: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    return command("status", env, *arguments)


def command(name: str, env: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    ran = run([name, *arguments], env)
    out, err = ran.stdout.decode(), ran.stderr.decode()
    assert "Traceback" not in err
    return ran.returncode, out, err
