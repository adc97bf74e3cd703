"""An HTTP server in front of a FakeMaster: `/json/` and `/app/kill/` on 127.0.0.1, port 0, with faults to play."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any, Literal

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from tests.fakes.master import FakeMaster, Shape

Fault = Literal[
    "slow", "drip", "html", "huge", "huge-until-close", "half-closed", "malformed", "deep", "403", "500", "redirect"
]


class MasterServer:
    """Serves a FakeMaster; `async with MasterServer(master) as server:`. It binds port 0 at once: `url` is known early.

    `faults` are played first in, first out, one for each request of its state; `fault`, if set, for every other one.
    `requests` counts those that arrived, `asked` is set by each. `kill_fault`, if set, is played for each request to
    kill; `killed` are the ids in the others. `pages` are all other pages, a worker's too, by path; `asked_pages` are
    the URIs of those that were asked for.
    """

    def __init__(self, master: FakeMaster, *, shape: Shape = "3.5", ssl_options: Any = None) -> None:
        self.master = master
        self.shape: Shape = shape
        self.faults: deque[Fault] = deque()
        self.fault: Fault | None = None
        self.kill_fault: Fault | None = None
        self.killed: list[str] = []
        self.pages: dict[str, str] = {}
        self.asked_pages: list[str] = []
        self.requests = 0
        self.asked = asyncio.Event()
        self.ended = asyncio.Event()
        self._sockets = bind_sockets(0, "127.0.0.1")
        scheme = "https" if ssl_options else "http"
        self.url = f"{scheme}://127.0.0.1:{self._sockets[0].getsockname()[1]}"
        handlers = ("/json/?", _Json), ("/app/kill/", _Kill), ("/.*", _Page)
        routes = [(path, handler, {"server": self}) for path, handler in handlers]
        self._http = HTTPServer(Application(routes), ssl_options=ssl_options)

    async def __aenter__(self) -> MasterServer:
        self._http.add_sockets(self._sockets)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.ended.set()
        self._http.stop()
        await self._http.close_all_connections()

    def next_fault(self) -> Fault | None:
        self.requests += 1
        self.asked.set()
        return self.faults.popleft() if self.faults else self.fault


class _Json(RequestHandler):
    def initialize(self, server: MasterServer) -> None:
        self.server = server

    async def get(self) -> None:
        fault = self.server.next_fault()
        self.set_header("Content-Type", "text/json;charset=utf-8")
        if fault is None:
            self.finish(self._body())
        else:
            await self._play(fault)

    async def _play(self, fault: Fault) -> None:
        await getattr(self, "_" + fault.replace("-", "_"))()

    def _body(self) -> bytes:
        return json.dumps(self.server.master.to_json(self.server.shape), indent=2).encode()

    async def _slow(self) -> None:
        """Nothing at all until the server ends."""
        await self.server.ended.wait()

    async def _drip(self) -> None:
        """Headers and a start at once, the rest never."""
        self.write(self._body()[:10])
        await self.flush()
        await self.server.ended.wait()

    async def _html(self) -> None:
        self.set_header("Content-Type", "text/html;charset=utf-8")
        self.finish("<html><body>Log in, please</body></html>")

    async def _malformed(self) -> None:
        self.finish(self._body().replace(b'"coresused"', b'"coresused": "many", "x"'))

    async def _deep(self) -> None:
        self.finish(b"[" * 1_000_000)

    async def _403(self) -> None:
        self.set_status(403)
        self.finish()

    async def _500(self) -> None:
        self.set_status(500)
        self.finish("<html>java.lang.NullPointerException</html>")

    async def _redirect(self) -> None:
        self.redirect("https://user:secret@127.0.0.1:8480/json/")

    async def _half_closed(self) -> None:
        """Half of what the header promises, then the connection ends."""
        body = self._body()
        await self._raw(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode(), [body[: len(body) // 2]])

    async def _huge(self) -> None:
        """200 chunks of 1 MiB."""
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        await self._raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", [chunk] * 200)

    async def _huge_until_close(self) -> None:
        """The same with no length given at all."""
        await self._raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", [b" " * 0x100000] * 200)

    async def _raw(self, head: bytes, parts: list[bytes]) -> None:
        stream = self.detach()
        try:
            for part in [head, *parts]:
                await stream.write(part)
        except StreamClosedError:
            return
        stream.close()


class _Kill(_Json):
    """`createRedirectHandler("/app/kill", "/", ...)`: it only takes POST, and redirects whatever came of it."""

    SUPPORTED_METHODS = ("POST",)

    async def post(self) -> None:
        if self.server.kill_fault is not None:
            return await self._play(self.server.kill_fault)
        if self.get_body_argument("terminate") == "true":
            self.server.killed.append(self.get_body_argument("id"))
            self.server.master.kill(self.server.killed[-1])
        self.redirect("/")


class _Page(_Json):
    """`WebUIPage`s, and a worker's `/log/`."""

    async def get(self) -> None:
        self.server.asked_pages.append(self.request.uri or "")
        if self.request.path not in self.server.pages:
            self.set_status(404)
        self.finish(self.server.pages.get(self.request.path, ""))
