"""Messages that would take a gateway's memory or time: none is parsed before its length is known."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
import time
import tracemalloc
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from kg2at_personality.web.protocol.client_message import MalformedMessage, parse
from tests.fakes.messages import older, request, v1

V1 = "v1.kernel.websocket.jupyter.org"
MIB = 1 << 20
#: Messages of each protocol that are parsed, and those that go through a gateway.
PARSED, SENT = 10_000, 300


@pytest.fixture(autouse=True)
def garbage() -> None:
    """Have what other tests have left say its errors (asyncio's "never retrieved") before this one's are counted."""
    gc.collect()


def sound(chance: random.Random) -> dict[str, Any]:
    """Return a message as a client may send it."""
    msg_type = chance.choice(["execute_request", "comm_msg", "kernel_info_request", "complete_request", "x"])
    content = {"code": "é" * chance.randrange(20), "comm_id": "c", "cursor_pos": chance.choice([0, None, -5])}
    message = request(msg_type, content, channel=chance.choice(["shell", "control", "stdin", "iopub", "no"]))
    buffers = [chance.randbytes(chance.randrange(9)) for _ in range(chance.randrange(4))]
    return dict(message | {"buffers": buffers})


def number(chance: random.Random, size: int, order: Any) -> bytes:
    top = 1 << (8 * size)
    return (chance.choice([0, 1, 2, 6, 7, 100, 1 << 20, (1 << 31) - 1, top // 2, top - 1]) % top).to_bytes(size, order)


def mutated(chance: random.Random, raw: bytes, size: int, order: Any) -> bytes:
    """Return `raw` with some of its numbers or bytes changed, cut or doubled."""
    data = bytearray(raw)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(data) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            place = size * chance.randrange(8)
            data[place : place + size] = number(chance, size, order)
        elif kind == 1:
            data[place : place + 1] = chance.randbytes(chance.randrange(3))
        elif kind == 2:
            del data[place:]
        elif kind == 3:
            data[place:place] = chance.choice([b"[" * 5000, b'{"a":' * 3000, b"\xff", b"NaN", b"null", b"9" * 5000])
        else:
            data += data[place:]
    return bytes(data)


def offsets(chance: random.Random) -> bytes:
    """Return a v1 message each of whose parts is the whole message."""
    count = chance.randrange(2, 2000)
    length = 8 * (1 + count) + 5000
    return b"".join(each.to_bytes(8, "little") for each in (count, *[0, length] * (count // 2))) + bytes(5008)


def messages(protocol: str, count: int) -> list[str | bytes]:
    """Return what an attacker sends, the same in each run."""
    chance = random.Random(f"{protocol} {count}")
    found: list[str | bytes] = []
    for _ in range(count):
        message = sound(chance)
        if protocol == V1:
            found.append(offsets(chance) if chance.random() < 0.1 else mutated(chance, v1(message), 8, "little"))
        elif message["buffers"]:
            found.append(mutated(chance, bytes(older(message)), 4, "big"))  # type: ignore[arg-type]
        else:
            text = mutated(chance, str(older(message)).encode(), 1, "big")
            found.append(text.decode("utf-8", "replace"))
    return found


KNOWN = {
    "": [b"\x7f\xff\xff\xffx", b"\x00\x80\x00\x00x", b"\xff\xff\xff\xff", "[" * 100_000, '{"a":' * 100_000],
    V1: [b"\xff" * 80, (1 << 40).to_bytes(8, "little") + b"x" * 80, b"", "text"],
}


@pytest.mark.parametrize("protocol", ["", V1])
def test_parsing_takes_no_more_memory_than_the_message_deserves(protocol: str) -> None:
    attacks = [*KNOWN[protocol], *messages(protocol, PARSED)]
    parsed = 0
    tracemalloc.start()
    try:
        for attack in attacks:
            try:
                message = parse(attack, protocol == V1)
                parsed += 1
                assert sum(map(len, [*message.parts, *message.buffers])) <= 10 * len(attack) + 1000
            except MalformedMessage as error:
                assert "\n" not in str(error)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * MIB, "the largest message is 100 KB"
    assert 100 < parsed < PARSED, "some are sound"


@pytest.mark.parametrize("protocol", ["", V1])
@pytest.mark.usefixtures("ipykernel")
@pytest.mark.gen_test(timeout=120)
async def test_a_gateway_goes_on(
    gateway: Any,
    caplog: pytest.LogCaptureFixture,
    protocol: str,
) -> None:
    kernel_id = await gateway.start()
    await gateway.app.kernel_manager.get_kernel(kernel_id).answered()
    process = psutil.Process()
    async with opened(gateway, kernel_id, protocol) as socket, measured_stalls() as stalls:
        before, lines = process.memory_info().rss, len(caplog.records)
        attacks = [*KNOWN[protocol], *messages(protocol, SENT)]
        for attack in attacks:
            await socket.write_message(attack, binary=isinstance(attack, bytes))
        assert (await answer(socket, protocol))["status"] == "ok", "the connection is still open"
        assert process.memory_info().rss - before < 100 * MIB
        told = [record for record in caplog.records[lines:] if record.levelno >= logging.WARNING]
        assert 10 < len(told) <= len(attacks) and not any(record.exc_info for record in told)
    assert max(stalls) < 5, "a message that is believed stalls the gateway for as long as its memory lasts"


@asynccontextmanager
async def opened(gateway: Any, kernel_id: str, protocol: str) -> AsyncIterator[WebSocketClientConnection]:
    url = f"{gateway.base_url.replace('http', 'ws')}/api/kernels/{kernel_id}/channels?session_id={uuid.uuid4().hex}"
    socket = await websocket_connect(HTTPRequest(url), subprotocols=[protocol] if protocol else None)
    assert socket.selected_subprotocol == (protocol or None)
    try:
        yield socket
    finally:
        socket.close()


@asynccontextmanager
async def measured_stalls() -> AsyncIterator[list[float]]:
    """Measure for how many seconds of this thread's processor time the event loop kept others waiting, each time."""
    stalls = [0.0]

    async def look() -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0.01)  # how often it is measured; nothing is waited for
            stalls.append(time.thread_time() - began)

    task = asyncio.ensure_future(look())
    try:
        yield stalls
    finally:
        task.cancel()


async def answer(socket: WebSocketClientConnection, protocol: str) -> dict[str, Any]:
    """Send one more request and return its reply."""
    last = request("kernel_info_request", msg_id=uuid.uuid4().hex)
    await socket.write_message(v1(last) if protocol else older(last), binary=bool(protocol))
    while True:
        raw = await asyncio.wait_for(socket.read_message(), 30)
        assert raw is not None, "the gateway closed the websocket"
        text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
        if last["header"]["msg_id"] in text and "kernel_info_reply" in text:
            return {"status": "ok"} if '"status": "ok"' in text or '"status":"ok"' in text else json.loads(text)
