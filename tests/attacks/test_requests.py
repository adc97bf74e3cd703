"""Requests that no client of Jupyter sends: each is answered, in words, and none is the gateway's own error."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

pytestmark = pytest.mark.gen_test(timeout=120)


@pytest.fixture(autouse=True)
def garbage() -> None:
    """Have what other tests have left say its errors (asyncio's "never retrieved") before this one's are counted."""
    gc.collect()


UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: " + "A" * 22 + "==",
)
ODD = [
    "%00",
    "%c3%a9",
    "%ff",
    "%ed%a0%80",
    "%2f..%2f",
    "%0d%0a",
    "%",
    "%25",
    "\xe9",
    "'\"\\",
    "{}",
    "[",
    "%d9%a1-1-1-1-1",
]
VALUES = ["\xe9", "http://[", "[", "", "a" * 9000, "bytes=9-1", "token \xe9", "Mon, 99 Foo"]
HEADERS = ["Origin", "Referer", "Authorization", "Range", "If-Modified-Since", "If-None-Match", "Accept-Encoding"]
HEADERS += ["Cookie", "Content-Type", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "X-Forwarded-For"]
BODIES = [
    b"",
    b"[]",
    b"null",
    b"\xff",
    b'{"a":' * 3000,
    b'{"name": 1e999}',
    b'{"name": "\\ud800"}',
    b'{"name": "a\\u0000"}',
]
BODIES += [b'{"path": "\\ud800", "type": "x", "kernel": {"id": "\\ud800"}}', b'{"kernel_id": "\\u0661-1-1-1-1"}']


async def ask(gateway: Any, method: str, target: str, *headers: str, body: bytes = b"") -> int:
    """Send a request as it is and return the status of the answer; fails after 30 s."""
    port = int(gateway.base_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    close = () if any(header.startswith("Upgrade") for header in headers) else ("Connection: close",)
    lines = (f"{method} {target} HTTP/1.1", "Host: localhost", *headers, *close, f"Content-Length: {len(body)}", "", "")
    writer.write("\r\n".join(lines).encode("latin-1") + body)
    line = await asyncio.wait_for(reader.readline(), 30)
    writer.close()
    return int(line.split()[1])


def routes(kernel_id: str) -> list[str]:
    kernel = f"/api/kernels/{kernel_id}"
    return [
        *("/api", "/api/swagger.json", "/api/swagger.yaml", "/api/kernels", kernel, f"{kernel}/interrupt"),
        *("/api/kernelspecs", "/api/kernelspecs/python3", "/kernelspecs/apache_toree_scala/logo-64x64.png"),
        *("/api/sessions", "/api/sessions/1-2-3-4-5", "/kg2at/status", "/nothing", "/", f"{kernel}/channels"),
    ]


async def running(gateway: Any) -> str:
    kernel_id: str = await gateway.start()
    await gateway.app.kernel_manager.get_kernel(kernel_id).answered()
    return kernel_id


async def test_no_path_or_query_is_the_gateways_own_error(gateway: Any, caplog: Any) -> None:
    for route in routes(await running(gateway)):
        head = UPGRADE if route.endswith("/channels") else ()
        start = route.rpartition("/")[0]
        for odd in ODD:
            for target in (
                f"{route}?no_track_activity={odd}&session_id={odd}",
                f"{route}{odd}",
                f"{start}/{odd}?{odd}",
            ):
                status = await ask(gateway, "GET", target, *head)
                assert status < 500, (status, target)
    assert not any(record.exc_info for record in caplog.records)


async def test_no_header_is_the_gateways_own_error(gateway: Any, caplog: Any) -> None:
    for route in routes(await running(gateway)):
        head = UPGRADE if route.endswith("/channels") else ()
        for name in HEADERS:
            for value in VALUES:
                status = await ask(gateway, "GET", route, *head, f"{name}: {value}")
                assert status < 500, (status, route, name, value)
    assert not any(record.exc_info for record in caplog.records)


async def test_no_method_or_body_is_the_gateways_own_error(gateway: Any, caplog: Any) -> None:
    for route in routes("1-2-3-4-5"):
        for method in ("HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
            assert await ask(gateway, method, route) < 500, (method, route)
        for body in BODIES:
            status = await ask(gateway, "POST", route, body=body)
            assert status < 500, (status, route, body)
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    ("method", "target", "headers", "status"),
    [
        # Their answers failed too, so that none came.
        ("GET", "/api/kernels?no_track_activity=%ff", (), 400),
        ("GET", "/kg2at/status?no_track_activity=\xe9", (), 400),
        ("POST", "/api/kernels?no_track_activity=%ed%a0%80", (), 400),
        ("GET", "/api/kernels", ("Origin: http://[",), 400),
        ("GET", "/api/kernels/{}/channels?session_id=%C3%A9", UPGRADE, 400),
        ("GET", "/api/kernels/{}/channels?session_id=ok", UPGRADE, 101),
        ("GET", "/api/kernels/{}/channels", (*UPGRADE, "Origin: http://["), 400),
        ("HEAD", "/api/swagger.json", (), 200),
        ("HEAD", "/api/swagger.yaml", (), 200),
        ("GET", "/kernelspecs/python3/%00", (), 404),
        ("GET", "/api/kernelspecs/%00", (), 404),
    ],
)
async def test_what_was_one(gateway: Any, method: str, target: str, headers: tuple[str, ...], status: int) -> None:
    kernel_id = await running(gateway) if "{}" in target else ""
    assert await ask(gateway, method, target.format(kernel_id), *headers) == status


async def test_a_form_that_is_no_utf_8_is_answered_too(gateway: Any) -> None:
    form = "Content-Type: application/x-www-form-urlencoded"
    assert await ask(gateway, "POST", "/api/kernels", form, body=b"no_track_activity=%ff") == 400
