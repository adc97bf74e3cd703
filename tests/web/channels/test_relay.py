"""What goes from a kernel to its notebook: whole, in order, and nothing that the gateway has asked for."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kg2at_personality.web.channels.notebook import V1
from tests.fakes.notebook import Notebook, connections, opened, opened_by, relay_of
from tests.fakes.toree import FakeSpark, start
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)


def publish(kernel: Any, connection: Any, parent: str, msg_type: str, **content: Any) -> None:
    """A message from the kernel, as ZeroMQ hands it over. `parent` is the id of a cell."""
    header = {"msg_id": parent, "msg_type": "execute_request", "session": "s1", "date": "2026-01-01T00:00:00Z"}
    if parent.startswith("info"):
        header["msg_type"] = "kernel_info_request"
    session = kernel.session.clone()
    parts = session.serialize(session.msg(msg_type, content, parent=header), ident=b"topic")
    connection.handle_outgoing_message(connection.channels["iopub"], parts)


@asynccontextmanager
async def connected(gateway: Any, kernel_id: str) -> AsyncIterator[tuple[Notebook, Any]]:
    async with opened(gateway, kernel_id) as notebook:
        assert await notebook.run("print(1)") == "1\n"
        yield notebook, opened_by(kernel_id)[0]


async def received(notebook: Notebook, count: int) -> list[tuple[str, str]]:
    """(parent, message type or execution state) of the next messages."""
    messages = [await notebook.receive() for _ in range(count)]
    return [
        (message["parent_header"]["msg_id"], message["content"].get("execution_state", message["msg_type"]))
        for message in messages
    ]


class TestOwnCells:
    async def test_a_notebook_sees_none_of_what_the_gateway_asks_its_kernel(
        self, gateway: Any, spark: FakeSpark
    ) -> None:
        """A new process learns its interrupts by a cell."""
        kernel_id, kernel = await start(gateway)
        async with opened(gateway, kernel_id) as notebook:
            assert await notebook.run("print('before')") == "before\n"
            assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})).code == 200
            await kernel.answered()
            last, messages = notebook.execute("print('after')"), []
            while not messages or messages[-1]["parent_header"].get("msg_id") != last:
                messages.append(await notebook.receive())
            assert spark.learned(kernel_id) == 2
            assert "execute_request" not in [message["parent_header"].get("msg_type") for message in messages[:-1]]


class TestIdleGrace:
    """A Toree's idle status can overtake its result, and a notebook drops what comes after idle."""

    async def test_a_result_that_comes_late_comes_before_idle(self, gateway: Any) -> None:
        kernel_id, kernel = await start(gateway)
        async with connected(gateway, kernel_id) as (notebook, connection):
            publish(kernel, connection, "a", "status", execution_state="idle")
            publish(kernel, connection, "a", "execute_result", data={}, metadata={}, execution_count=1)
            assert await received(notebook, 2) == [("a", "execute_result"), ("a", "idle")]

    async def test_idle_alone_comes_after_the_grace(self, gateway: Any) -> None:
        kernel_id, kernel = await start(gateway)
        async with connected(gateway, kernel_id) as (notebook, connection):
            publish(kernel, connection, "a", "status", execution_state="idle")
            assert connection.relay.toree_messages.holds
            assert await received(notebook, 1) == [("a", "idle")]
            assert not connection.relay.toree_messages.holds

    async def test_the_next_cell_does_not_overtake_it(self, gateway: Any) -> None:
        kernel_id, kernel = await start(gateway)
        async with connected(gateway, kernel_id) as (notebook, connection):
            for parent in ("a", "b"):
                publish(kernel, connection, parent, "status", execution_state="busy")
                publish(kernel, connection, parent, "status", execution_state="idle")
            assert await received(notebook, 4) == [("a", "busy"), ("a", "idle"), ("b", "busy"), ("b", "idle")]

    async def test_what_is_no_cell_is_not_held(self, gateway: Any) -> None:
        kernel_id, kernel = await start(gateway)
        async with connected(gateway, kernel_id) as (notebook, connection):
            publish(kernel, connection, "info", "status", execution_state="idle")
            assert not connection.relay.toree_messages.holds and await received(notebook, 1) == [("info", "idle")]

    async def test_what_a_cell_prints_is_no_status(self, gateway: Any) -> None:
        kernel_id, kernel = await start(gateway)
        async with connected(gateway, kernel_id) as (notebook, connection):
            publish(kernel, connection, "a", "stream", name="stdout", text='{"execution_state":"idle"}')
            assert not connection.relay.toree_messages.holds and await received(notebook, 1) == [("a", "stream")]

    async def test_other_kernels_are_left_alone(self, gateway: Any) -> None:
        kernel_id = await gateway.start()
        kernel = gateway.app.kernel_manager.get_kernel(kernel_id)
        async with connected(gateway, kernel_id) as (notebook, connection):
            publish(kernel, connection, "a", "status", execution_state="idle")
            assert connection.relay.toree_messages is None and await received(notebook, 1) == [("a", "idle")]

    async def test_what_is_held_when_the_notebook_goes_waits_for_it(self, gateway: Any) -> None:
        kernel_id, kernel = await start(gateway)
        async with connected(gateway, kernel_id) as (notebook, connection):
            publish(kernel, connection, "a", "status", execution_state="idle")
            messages = connection.relay.toree_messages
            assert messages.holds
            connection.disconnect()
            assert not messages.holds and connections(gateway, kernel_id) == 0
        async with opened(gateway, kernel_id) as notebook:
            assert [message["msg_type"] for message in await notebook.until("idle", "a")] == ["status"]

    async def test_a_websocket_that_closes_twice_counts_once(self, gateway: Any) -> None:
        kernel_id, _ = await start(gateway)
        async with connected(gateway, kernel_id) as (_, connection):
            for _ in range(2):
                connection.disconnect()
        await until(lambda: not opened_by(kernel_id), "the end of the connection")
        assert connections(gateway, kernel_id) == 0


class TestOutgoing:
    """What goes from a kernel to its notebook."""

    async def test_no_message_waits_for_tcp(self, gateway: Any) -> None:
        kernel_id = await gateway.start()
        async with opened(gateway, kernel_id):
            stream = opened_by(kernel_id)[0].websocket_handler.ws_connection.stream
            assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    @pytest.mark.parametrize("protocol", ["", V1])
    async def test_an_error_of_a_toree_without_a_message(self, gateway: Any, protocol: str) -> None:
        kernel_id, kernel = await start(gateway)
        async with opened(gateway, kernel_id, protocol=protocol) as notebook:
            await until(lambda: opened_by(kernel_id) and relay_of(kernel_id).write_queue.is_open, "the connection")
            error = {"ename": "java.lang.Exception", "evalue": None, "traceback": ["java.lang.Exception"]}
            publish(kernel, opened_by(kernel_id)[0], "a", "error", **error)
            while (seen := await notebook.receive())["msg_type"] != "error":
                pass
            assert seen["parent_header"]["msg_id"] == "a" and seen["content"] == error | {"evalue": ""}

    async def test_a_wrong_signature_is_not_made_right(self, gateway: Any, caplog: pytest.LogCaptureFixture) -> None:
        kernel_id, kernel = await start(gateway)
        async with opened(gateway, kernel_id) as notebook:
            assert await notebook.run("print(1)") == "1\n"
            connection = opened_by(kernel_id)[0]
            key, kernel.session.key = kernel.session.key, b"wrong"
            publish(kernel, connection, "a", "error", ename="E", evalue=None, traceback=[])
            kernel.session.key = key
            publish(kernel, connection, "a", "stream", name="stdout", text="right")
            assert (await notebook.receive())["content"]["text"] == "right"
        [line] = [each.getMessage() for each in caplog.records if "malformed" in each.getMessage()]
        assert kernel_id in line and "signature" in line

    async def test_limits_and_hidden_tracebacks_work_as_ever(self, gateway: Any) -> None:
        kernel_id = await gateway.start()
        async with opened(gateway, kernel_id) as notebook:
            await notebook.run("print(1)")
            opened_by(kernel_id)[0].iopub_msg_rate_limit = 1
            said = await notebook.until("idle", notebook.execute("for n in range(9): display(n)"))
            assert "IOPub message rate exceeded" in str(said) and sum(m["msg_type"] == "display_data" for m in said) < 9
            gateway.app.kernel_manager.allow_tracebacks = False
            said = await notebook.until("idle", notebook.execute("1 / 0"))
            [error] = [message["content"] for message in said if message["msg_type"] == "error"]
            assert error["evalue"] == "Execution error" and "ZeroDivisionError" not in str(error)
