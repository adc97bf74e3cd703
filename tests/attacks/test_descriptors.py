"""A gateway whose file descriptors are used up while somebody starts or restarts a kernel."""

from __future__ import annotations

import http.client
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.gateway_process import Gateway
from tests.fakes.toree import FakeSpark

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not tell the descriptors")


@contextmanager
def left(pid: int, count: int) -> Iterator[None]:
    """Leave the process only `count` descriptors more than it has."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = [number for number in range(before[0]) if number not in used]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[count], before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


class Client:
    """Keeps its connection, since a gateway without descriptors takes no other."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        self.connection.request(method, path, None if body is None else json.dumps(body))
        answer = self.connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None


def test_starts_and_restarts_are_refused_and_lose_nothing(tmp_path: Path) -> None:
    spark = FakeSpark(tmp_path)
    with spark, Gateway(tmp_path / "gateway", environ=spark.environ, token="", quick=True) as gateway:
        assert gateway.process is not None
        client = Client(gateway.port)
        _, first = client.ask("POST", "/api/kernels", {"name": "python3"})
        for count in range(4):
            with left(gateway.process.pid, count):
                for name in ("python3", "apache_toree_scala"):
                    status, body = client.ask("POST", "/api/kernels", {"name": name})
                    # Some need no more; for Toree, Spark's own files may be what can't be read.
                    assert status == 201 or (status == 503 and "Too many open files" in body["message"]), body
        with left(gateway.process.pid, 0):
            for path in (f"/api/kernels/{first['id']}/restart", "/api/kernels"):
                status, body = client.ask("POST", path, {"name": "python3"})
                assert (status, body["reason"]) == (503, "Kernel could not be launched"), body
        assert client.ask("GET", f"/api/kernels/{first['id']}")[1]["execution_state"] != "dead"
        status, again = client.ask("POST", "/api/kernels", {"name": "python3"})
        assert status == 201
        assert {kernel["id"] for kernel in client.ask("GET", "/api/kernels")[1]} >= {first["id"], again["id"]}
        assert " 500 " not in gateway.log
