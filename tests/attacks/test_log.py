"""What must not come into the log: the token, in whatever spelling, and characters that control a terminal."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from kg2at_personality.web.log_filter import UNFILTERED, LogFilter, clean
from tests.fakes.gateway_process import Gateway
from tests.fakes.toree import FakeSpark

TOKEN = "s3cr3t/gat+way token"
TYPED = "tYp0-of-it"


def percent(text: str) -> str:
    """Return `text` with every character encoded."""
    return "".join(f"%{byte:02x}" for byte in text.encode())


@pytest.mark.parametrize(
    "query",
    [
        *(f"{name}={TYPED}" for name in ("token", "Token", "TOKEN", "%74oken", "t%6FKEN", "%2574oken", "access_token")),
        *(f"token%3D{TYPED}", f"a=1&token={TYPED}&b=2", f"token={TYPED}&token={TYPED}", f"token={TYPED};{TYPED}"),
        *(f"next=%2Flab%3Ftoken%3D{TYPED}", f"next=/lab?token={TYPED}", f"a=1;token={TYPED}"),
    ],
)
def test_what_a_url_calls_a_token(query: str) -> None:
    for line in (
        f"404 GET /x?{query} (::1) 1.20ms",
        f"referer=http://h/y?{query}",
        f"HTTPServerRequest(uri='/?{query}')",
    ):
        cleaned = clean(line, "")
        assert TYPED not in cleaned and "[token]" in cleaned, cleaned
        assert clean(cleaned, "") == cleaned


@pytest.mark.parametrize(
    "spelling",
    [
        *(TOKEN, quote(TOKEN), quote(TOKEN, safe=""), percent(TOKEN), percent(TOKEN).upper(), quote(percent(TOKEN))),
        *("s3cr3t/gat+way%20token", "s3cr3t%2Fgat%2bway%2520token", "%73%33cr3t/gat%2525252Bway token"),
    ],
)
def test_the_token_by_value(spelling: str) -> None:
    """Wherever it stands: in a path, as a name, under another name."""
    for line in (f"404 GET /api/kernels/{spelling} (::1)", f"GET /?a={spelling}&b", f"Bad thing: {spelling}{spelling}"):
        cleaned = clean(line, TOKEN)
        assert "s3cr3t" not in cleaned and "%73%33" not in cleaned and "[token]" in cleaned, cleaned


@pytest.mark.parametrize(
    "line", ["200 GET /api?a=1&b=2 (::1) 3.45ms", "Kernel started: 1-2", "a token = b", "100 % ?x"]
)
def test_what_is_none_stays(line: str) -> None:
    assert clean(line, TOKEN) == line == clean(line, "") == clean(line, "a")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
        ("a\rb\x9b31m\x7f\0", "a\\rb\\x9b31m\\x7f\\x00"),
        ("\u202egpj.exe\u2066\u2028", "\\u202egpj.exe\\u2066\\u2028"),
        ("lone \ud83d", "lone \\ud83d"),
        ("tab\tline\nGr\u00fc\u00dfe \U0001f600", "tab\tline\nGr\u00fc\u00dfe \U0001f600"),
    ],
)
def test_what_speaks_to_a_terminal(text: str, shown: str) -> None:
    assert clean(text, "") == shown == clean(shown, "")


def written(handler_of: Any, log: logging.Logger) -> list[str]:
    """Return what a handler writes that has the filter, in a logger of its own."""
    lines: list[str] = []
    handler = handler_of()
    handler.emit = lambda record: lines.append(handler.format(record))
    handler.addFilter(LogFilter(lambda: TOKEN))
    log.handlers, log.propagate = [handler], False
    return lines


def test_every_part_of_a_record_is_cleaned() -> None:
    log = logging.Logger("of this test")
    lines = written(logging.Handler, log)
    log.warning("%s at 100 %% of %r", f"/x?token={TYPED}", "\x1b")
    try:
        raise ValueError(f"\x1b[1m{TOKEN}")
    except ValueError:
        log.exception("failed", stack_info=True)
    log.info("%s", f"/?token={TOKEN}", extra={UNFILTERED: True})
    assert lines[0] == "/x?token=[token] at 100 % of '\\x1b'"
    assert "ValueError: \\x1b[1m[token]" in lines[1] and "Stack (most recent call last)" in lines[1]
    assert lines[2] == f"/?token={TOKEN}"


def ask(port: int, *lines: str) -> bytes:
    """Send a request of these lines, as they are, and return the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "Host: localhost", "Connection: close", "", ""]).encode("latin-1"))
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_gateway_that_is_asked_by_odd_roads(tmp_path: Path) -> None:
    spark, token = FakeSpark(tmp_path), "s3cr3t-gateway-token"
    with spark, Gateway(tmp_path / "gateway", "--debug", environ=spark.environ, token=token, quick=True) as gateway:
        typed = token[:-1] + "X"  # as somebody types it who does not remember
        for path in ("/api", "/nothing", f"/api/kernels/{percent(token)}", "/kernelspecs/x/y", "/%1b[2J\x1b]0;x"):
            for query in (f"%74oken={token}", f"Token={typed}", f"token={typed}&token={token}", f"a={percent(token)}"):
                for method in ("GET", "PUT", "BREW", "OPTIONS"):
                    ask(gateway.port, f"{method} {path}?{query} HTTP/1.1", f"Referer: http://h/?token={token}")
        ask(gateway.port, f"GET /api?token={token} NONSENSE")
        gateway.request("POST", "/api/kernels", {"name": "\x1b[2J\u202e"})
        gateway.request("POST", "/api/kernels", {"name": "python3", "env": {"KERNEL_USERNAME": "\x1b]0;x\x07"}})
    assert "401 GET /api?Token=[token]" in gateway.log and "405 BREW /nothing?%74oken=[token]" in gateway.log
    assert "s3cr3t" not in gateway.log and percent(token) not in gateway.log
    assert "\x1b" not in gateway.log and "\\x1b[2J\\u202e" in gateway.log
