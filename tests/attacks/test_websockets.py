"""More websockets than ZeroMQ or the descriptors allow by themselves, and some that fail while they open."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_server._tz import utcnow
from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError
from tornado.websocket import WebSocketClientConnection, websocket_connect

from kg2at_personality.errors import NoRoom
from kg2at_personality.web.toree_protocol.heartbeat import Heartbeat
from tests.fakes.gateway_process import PYTHON, Gateway
from tests.fakes.notebook import connections
from tests.fakes.wait import until, wait_until

pytestmark = pytest.mark.gen_test(timeout=100)
#: How many are open at the same time, on a kernel for each 50; KG2AT_TEST_WEBSOCKETS=1000 takes longer.
#: ZeroMQ's own limit was met by 255.
COUNT = int(os.environ.get("KG2AT_TEST_WEBSOCKETS", "300"))
KERNELS = max(1, COUNT // 50)
#: Descriptors that each takes in the gateway while it opens.
EACH = 13


async def connect(url: str, kernel_id: str, session: str = "") -> WebSocketClientConnection:
    address = f"{url.replace('http', 'ws')}/api/kernels/{kernel_id}/channels?session_id={session or uuid.uuid4().hex}"
    return await websocket_connect(address)


async def ask(socket: WebSocketClientConnection, expression: str) -> str:
    """Return what an expression is in the kernel, which shows nothing of it to other notebooks."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "s", "username": ""}
    content = {"code": "", "silent": True, "user_expressions": {"value": expression}}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    await socket.write_message(json.dumps(message))
    while True:
        received = await asyncio.wait_for(socket.read_message(), 90)
        assert received is not None, "the gateway closed the websocket"
        answer = json.loads(received)
        if answer["msg_type"] == "execute_reply" and answer["parent_header"]["msg_id"] == header["msg_id"]:
            return str(answer["content"]["user_expressions"]["value"]["data"]["text/plain"])


@pytest.fixture
def many() -> Iterator[None]:
    """Allow the open files that so many websockets need, in this process and in those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < COUNT * EACH + 500:
        pytest.skip(f"{COUNT} websockets need more open files than {hard}")
    wanted = COUNT + 500
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.timeout(400)
@pytest.mark.gen_test(timeout=390)
@pytest.mark.integration
async def test_all_are_served_and_all_close_at_once(many: None, tmp_path: Path) -> None:
    with Gateway(tmp_path, *PYTHON, token="") as gateway:

        def counts() -> Counter[str]:
            return Counter({row["id"]: row["connections"] for row in gateway.request("GET", "/api/kernels").body})

        ids = await asyncio.gather(*(asyncio.to_thread(gateway.start_kernel) for _ in range(KERNELS)))
        places = [ids[number % KERNELS] for number in range(COUNT)]
        sockets = await asyncio.gather(*(connect(gateway.url, kernel_id) for kernel_id in places))
        answers = await asyncio.gather(*(ask(socket, f"{number} + 0") for number, socket in enumerate(sockets)))
        assert answers == [str(number) for number in range(COUNT)]
        assert await asyncio.to_thread(counts) == Counter(places)
        for socket in sockets:
            socket.close()
        await asyncio.to_thread(wait_until, lambda: counts().total() == 0, counts)
        assert await ask(await connect(gateway.url, ids[0]), "6 * 7") == "42"
        assert "Traceback" not in gateway.log and "Too many open files" not in gateway.log


class TestNoRoom:
    @staticmethod
    async def refused(gateway: Any, kernel_id: str) -> None:
        """Check that a websocket and a start are refused, with a sentence, and leave nothing."""
        before = connections(gateway, kernel_id)
        with pytest.raises(HTTPClientError) as failed:
            await connect(gateway.base_url, kernel_id)
        assert failed.value.code == 503
        body = json.loads(failed.value.response.body)
        assert body["reason"] == "Gateway is full" and "Too many open files: the gateway has no" in body["message"]
        answer = await gateway.ask("POST", "/api/kernels", {"name": "python3"})
        assert answer.code == 503 and json.loads(answer.body)["reason"] == "Kernel could not be launched", answer.body
        assert connections(gateway, kernel_id) == before
        assert gateway.app.kernel_manager.list_kernel_ids() == [kernel_id]

    async def test_of_zeromq_s_sockets(self, gateway: Any) -> None:
        manager = gateway.app.kernel_manager
        manager.context.set(zmq.MAX_SOCKETS, 16)
        kernel_id = await gateway.start()
        await manager.get_kernel(kernel_id).answered()
        sockets = [await connect(gateway.base_url, kernel_id) for _ in range(3)]
        assert [await ask(socket, "6 * 7") for socket in sockets] == ["42"] * 3
        extra: list[Any] = []

        def has_two() -> bool:
            with suppress(zmq.ZMQError):  # a thread of ZeroMQ's gives back those that were closed a moment ago
                extra.append(manager.context.socket(zmq.DEALER))
            return len(extra) == 2

        await until(has_two, "the last two")
        await self.refused(gateway, kernel_id)
        assert await ask(sockets[0], "6 * 7") == "42"
        for socket in (*sockets, *extra):
            socket.close()
        await until(lambda: connections(gateway, kernel_id) == 0, "their end")
        socket = await connect(gateway.base_url, kernel_id)
        assert await ask(socket, "6 * 7") == "42"
        socket.close()

    async def test_of_descriptors(self, gateway: Any) -> None:
        kernel_id = await gateway.start()
        await gateway.app.kernel_manager.get_kernel(kernel_id).answered()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        socket = await connect(gateway.base_url, kernel_id)
        free = os.open(os.devnull, os.O_RDONLY)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 40, hard))
        try:
            await self.refused(gateway, kernel_id)
            assert await ask(socket, "6 * 7") == "42"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        other = await connect(gateway.base_url, kernel_id)
        assert await ask(other, "6 * 7") == "42" and connections(gateway, kernel_id) == 2
        for each in (socket, other):
            each.close()
        await until(lambda: connections(gateway, kernel_id) == 0, "their end")


@pytest.mark.parametrize("error", [HTTPError(404, "no such kernel"), RuntimeError("unforeseen")])
@pytest.mark.parametrize("point", ["get_buffer", "add_restart_callback"])
async def test_one_that_fails_while_it_opens_counts_for_nothing(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, point: str, error: Exception
) -> None:
    """So that a culler goes on to cull."""
    manager = gateway.app.kernel_manager
    kernel_id = await gateway.start()
    kernel = manager.get_kernel(kernel_id)
    await kernel.answered()
    before = len(manager.context._sockets)

    def fail(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(manager, point, fail)
        for _ in range(3):
            socket = await connect(gateway.base_url, kernel_id)
            assert await asyncio.wait_for(socket.read_message(), 20) is None
    assert connections(gateway, kernel_id) == 0
    assert len(manager.context._sockets) == before and kernel_id not in manager._kernel_buffers
    socket = await connect(gateway.base_url, kernel_id)
    assert await ask(socket, "6 * 7") == "42" and connections(gateway, kernel_id) == 1
    socket.close()
    await until(lambda: connections(gateway, kernel_id) == 0, "its end")
    manager.cull_idle_timeout, kernel.last_activity = 1, utcnow() - timedelta(hours=1)
    await manager.cull_kernel_if_idle(kernel_id)
    assert manager.list_kernel_ids() == []


def fill(context: Any) -> list[Any]:
    """Take all sockets that ZeroMQ has left."""
    sockets: list[Any] = []
    with pytest.raises(zmq.ZMQError):
        while True:
            sockets.append(context.socket(zmq.DEALER))
    return sockets


async def test_a_kernel_that_nobody_could_ask_is_asked_later(gateway: Any) -> None:
    """The last sockets went while it started."""
    manager = gateway.app.kernel_manager
    manager.context.set(zmq.MAX_SOCKETS, 16)
    kernel = manager.get_kernel(await gateway.start())
    sockets = fill(manager.context)
    with pytest.raises(NoRoom), kernel.own_client.question("kernel_info_request"):
        pass
    assert not kernel.has_answered and not kernel.is_dead
    for socket in sockets:
        socket.close()
    await asyncio.wait_for(kernel.answered(), 60)


async def test_a_kernel_can_be_ended_though_there_is_no_socket_to_tell_it(gateway: Any) -> None:
    """One that was adopted is told by a socket that is made then."""
    manager = gateway.app.kernel_manager
    manager.context.set(zmq.MAX_SOCKETS, 16)
    kernel_id = await gateway.start()
    kernel = manager.get_kernel(kernel_id)
    await kernel.answered()
    kernel._close_control_socket()
    sockets = fill(manager.context)
    assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")).code == 204
    assert manager.list_kernel_ids() == [] and not kernel.has_kernel
    assert json.loads((await gateway.ask("GET", "/kg2at/status")).body)["zombies"] == []
    for socket in sockets:
        socket.close()


async def test_a_heartbeat_that_no_socket_is_left_for_is_none(gateway: Any) -> None:
    manager = gateway.app.kernel_manager
    manager.context.set(zmq.MAX_SOCKETS, 16)
    kernel = manager.get_kernel(await gateway.start())
    await kernel.answered()
    sockets, heartbeat, beats = fill(manager.context), Heartbeat(kernel), list[int]()
    heartbeat.ask(lambda: beats.append(1))
    sockets.pop().close()
    await until(lambda: heartbeat.ask(lambda: beats.append(2)) or beats, "a beat")
    assert set(beats) == {1, 2}
    heartbeat.close()
    for socket in sockets:
        socket.close()
