"""Messages that are sent together arrive as those that are sent one by one."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler, websocket_connect

from kg2at_personality.web.channels.websocket_frames import MAX_WRITE, WebsocketFrames

pytestmark = pytest.mark.gen_test(timeout=60)
SIZES = [0, 1, 125, 126, 2**16 - 1, 2**16, MAX_WRITE + 1]


class Server:
    """Keeps the handler of the websocket that was opened last, and counts its writes."""

    def __init__(self, compressed: bool) -> None:
        server = self
        self.handler: Any = None
        self.writes = 0

        class Handler(WebSocketHandler):
            def get_compression_options(self) -> dict[str, Any] | None:
                return {} if compressed else None

            def open(self) -> None:
                server.handler = self

        self.socket, self.port = bind_unused_port()
        self.http = HTTPServer(Application([("/", Handler)]))
        self.http.add_socket(self.socket)

    @asynccontextmanager
    async def opened(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Any, WebsocketFrames]]:
        client = await websocket_connect(f"ws://127.0.0.1:{self.port}/", compression_options={})
        stream = self.handler.ws_connection.stream
        write = stream.write

        def counted(data: bytes) -> Any:
            self.writes += 1
            return write(data)

        monkeypatch.setattr(stream, "write", counted)
        yield client, WebsocketFrames(self.handler)
        client.close()


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def server(request: Any, io_loop: Any) -> Iterator[Server]:
    made: list[Server] = []

    async def make() -> None:
        made.append(Server(request.param))

    io_loop.run_sync(make)
    yield made[0]
    made[0].http.stop()
    io_loop.run_sync(made[0].http.close_all_connections)


async def test_all_arrive_in_order_whole(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [(text * size).encode() for size in SIZES for text in ("x", "y")]
    async with server.opened(monkeypatch) as (client, frames):
        frames.send("before")
        with frames.together():
            for message in messages:
                frames.send(message)
                frames.send(message, binary=True)
            with frames.together():
                frames.send("täxt")
        frames.send("after")
        received = [await client.read_message() for _ in range(2 * len(messages) + 3)]
    expected: list[Any] = ["before"]
    for message in messages:
        expected += [message.decode(), message]
    assert received == [*expected, "täxt", "after"]


async def test_small_ones_are_one_write(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with server.opened(monkeypatch) as (client, frames):
        with frames.together():
            for _ in range(100):
                frames.send("x")
        assert [await client.read_message() for _ in range(100)] == ["x"] * 100
        assert server.writes == (1 if frames.is_plain else 100)


async def test_a_failure_loses_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with server.opened(monkeypatch) as (client, frames):
        with pytest.raises(ValueError, match="on purpose"), frames.together():
            frames.send("x")
            raise ValueError("on purpose")
        frames.send("y")
        assert [await client.read_message() for _ in range(2)] == ["x", "y"]


async def test_one_that_is_gone(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with server.opened(monkeypatch) as (_, frames):
        server.handler.ws_connection.stream.socket.shutdown(socket.SHUT_RDWR)
        server.handler.ws_connection.stream.close()
        assert frames.stream is None
        with pytest.raises(WebSocketClosedError), frames.together():
            frames.send("x")
        with pytest.raises(WebSocketClosedError):
            frames.send("x")
