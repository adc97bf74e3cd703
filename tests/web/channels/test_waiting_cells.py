"""A cell that waits for cores, through real websockets of a real gateway: what its notebook gets, and what it saves."""

from __future__ import annotations

import asyncio
import copy
import os
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.websocket import websocket_connect

from kg2at_personality.admission.request import AdmissionRequest
from kg2at_personality.kernels.core_wait import CoreWait
from kg2at_personality.kernels.kernel import GatewayKernel
from kg2at_personality.state.record import Admission
from kg2at_personality.web.channels.connection import ChannelsConnection
from kg2at_personality.web.channels.notebook import V1
from tests.fakes.front_end import Lab, NbClient
from tests.fakes.gateways import Gateways, code_of, kernel_of
from tests.fakes.jupyter_server import JupyterServer
from tests.fakes.notebook import Notebook, connections, opened
from tests.fakes.processes import kill
from tests.fakes.toree import Gate
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
PROTOCOLS = pytest.mark.parametrize("protocol", ["", V1])


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "latch")


def waiting(gate: Gate, before: str = "", after: str = "display(2)") -> str:
    """A cell that runs until the gate is open."""
    return f"{before}\nx = open({str(gate.path)!r}).read()\n{after}"


async def start(gateway: Any, name: str = "python3") -> GatewayKernel:
    """Start a kernel with a lease."""
    kernel_id = await gateway.app.kernel_manager.start_kernel(kernel_name=name)
    kernel = with_lease(kernel_of(gateway, kernel_id))
    await kernel.answered()
    return kernel


def with_lease(kernel: GatewayKernel) -> GatewayKernel:
    kernel.admission = Admission(AdmissionRequest(kernel.kernel_id, kernel.kernel_name, "anna", None), ())
    return kernel


class Page:
    """A notebook's page: what JupyterLab and nbclient would save of a cell."""

    def __init__(self, msg_id: str) -> None:
        self.msg_id, self.lab, self.nbclient = msg_id, Lab(msg_id), NbClient(msg_id)
        self.ended: set[str] = set()
        self.reply: dict[str, Any] = {}
        self.sessions: set[str] = set()

    async def read(self, notebook: Notebook, condition: Callable[[], object]) -> None:
        """Read until the condition holds."""
        while not condition():
            message = await notebook.receive()
            self.lab.take(copy.deepcopy(message))
            self.nbclient.take(copy.deepcopy(message))
            if message["parent_header"].get("msg_id") == self.msg_id:
                kind = message["content"].get("execution_state", message["msg_type"])
                self.ended.add(kind)
                self.sessions.add(message["header"]["session"])
                self.reply = message["content"] if kind == "execute_reply" else self.reply

    async def shows(self, notebook: Notebook, *texts: str) -> None:
        await self.read(notebook, lambda: self.texts == list(texts))

    async def end(self, notebook: Notebook) -> None:
        await self.read(notebook, lambda: {"idle", "execute_reply"} <= self.ended)

    @property
    def texts(self) -> list[str]:
        saved = self.lab.saved(self.msg_id)
        return [each.get("text") or each.get("evalue") or each["data"]["text/plain"] for each in saved]

    def is_clean(self, *texts: str) -> None:
        assert self.texts == list(texts)
        assert self.nbclient.saved(self.msg_id) == self.lab.saved(self.msg_id)


def websockets(kernel: GatewayKernel) -> list[ChannelsConnection]:
    """The kernel's open ones."""
    return [each for each in ChannelsConnection._open_sockets if each.kernel_id == kernel.kernel_id]


async def hears(kernel: GatewayKernel) -> None:
    """Wait until new websockets hear what the kernel publishes."""
    relays = [each.relay for each in websockets(kernel) if each.relay is not None]
    await until(lambda: all(each.restart_buffer._check.done() for each in relays), "what it publishes")


async def running(kernel: GatewayKernel, cell: str) -> None:
    await until(lambda: kernel.running_cell == cell, "the cell")


async def begun(kernel: GatewayKernel, notebook: Notebook, code: str, *texts: str) -> Page:
    """Send a cell; return its page when it shows `texts` and waits."""
    page = Page(notebook.execute(code))
    await running(kernel, page.msg_id)
    await page.shows(notebook, *texts)
    return page


@PROTOCOLS
@pytest.mark.parametrize("name", ["python3", "apache_toree_scala"])
async def test_it_is_told_and_nothing_of_it_is_saved(gateway: Any, gate: Gate, protocol: str, name: str) -> None:
    kernel = await start(gateway, name)
    async with opened(gateway, kernel.kernel_id, "s1", protocol) as notebook:
        page = await begun(kernel, notebook, waiting(gate, "print('one'); display(1)"), "one\n", "1")
        for text in ("waits for 1 core", "waits for 1 core, 1 s"):
            kernel.core_wait = CoreWait(text)
            await page.shows(notebook, "one\n", "1", text)
        kernel.core_wait = None
        await page.shows(notebook, "one\n", "1")
        kernel.core_wait = CoreWait("waits again")
        await page.shows(notebook, "one\n", "1", "waits again")
        gate.open()
        await page.end(notebook)
        page.is_clean("one\n", "1", "2")
        assert kernel.recorder.wait_line is None and len(page.sessions) == 1


@PROTOCOLS
async def test_outputs_that_jupyter_server_writes_itself_are_sent_again(
    gateway: Any, gate: Gate, protocol: str
) -> None:
    """It would refuse a signature that it has seen (Session.deserialize)."""
    kernel = await start(gateway)
    gateway.app.kernel_manager.allow_tracebacks = False
    async with opened(gateway, kernel.kernel_id, "s1", protocol) as notebook:
        page = await begun(kernel, notebook, waiting(gate, "print('one')"), "one\n")
        for number in range(3):
            kernel.core_wait = CoreWait(f"waits {number}")
            await page.shows(notebook, "one\n", f"waits {number}")
            kernel.core_wait = None
            await page.shows(notebook, "one\n")
        gate.open()
        await page.end(notebook)
        page.is_clean("one\n", "2")


#: Shows outputs of all kinds, some of which it takes away again.
STORM = """
import random, time
chance = random.Random(%d)
for number in range(100):
    kind, data = chance.randrange(12), {"data": {"text/plain": "d%%d" %% number}, "metadata": {}}
    named = data | {"transient": {"display_id": chance.choice("xyz")}}
    if kind < 5:
        print("s%%d" %% number)
    elif kind < 7:
        kernel.publish("display_data", data)
    elif kind < 9:
        kernel.publish("display_data", named)
    elif kind < 11:
        kernel.publish("update_display_data", named)
    else:
        kernel.publish("clear_output", {"wait": chance.random() < 0.7})
    time.sleep(chance.random() / 500)
"""


@PROTOCOLS
@pytest.mark.parametrize("seed", range(2))
async def test_what_others_see_is_what_its_page_saves(gateway: Any, protocol: str, seed: int) -> None:
    kernel = await start(gateway)
    async with (
        opened(gateway, kernel.kernel_id, "s1", protocol) as notebook,
        opened(gateway, kernel.kernel_id, "s2", protocol) as foreign,
    ):
        await foreign.run("1")
        await notebook.run("import sys; kernel = display.__self__")
        page = Page(notebook.execute(STORM % seed))
        other, chance = Page(page.msg_id), random.Random(seed)
        reading = asyncio.ensure_future(page.end(notebook))
        await running(kernel, page.msg_id)
        waits = 0
        while kernel.running_cell:
            waits += 1
            kernel.core_wait = CoreWait(f"waits {waits}") if chance.random() < 0.7 else None
            await asyncio.sleep(chance.random() / 500)
        await reading
        await other.read(foreign, lambda: "idle" in other.ended)
        assert waits > 1 and page.lab.saved(page.msg_id) == other.lab.saved(page.msg_id)
        assert page.nbclient.saved(page.msg_id) == other.nbclient.saved(page.msg_id)
        assert kernel.recorder.wait_line is None


async def test_what_the_gateway_says_of_left_out_output_stays(gateway: Any, gate: Gate) -> None:
    kernel = await start(gateway)
    gateway.app.kernel_manager.config.ChannelsConnection.iopub_msg_rate_limit = 1
    async with opened(gateway, kernel.kernel_id) as notebook:
        page = Page(notebook.execute(waiting(gate, "for n in range(9): display(n)", "")))
        await page.read(notebook, lambda: "rate exceeded" in str(page.texts))
        await running(kernel, page.msg_id)
        kernel.core_wait = CoreWait("waits")
        await page.read(notebook, lambda: "waits" in page.texts)
        gate.open()
        await page.end(notebook)
        assert "rate exceeded" in str(page.texts) and "waits" not in page.texts


async def test_only_its_session_is_told(gateway: Any, gate: Gate) -> None:
    kernel = await start(gateway)
    async with (
        opened(gateway, kernel.kernel_id) as notebook,
        opened(gateway, kernel.kernel_id) as same,
        opened(gateway, kernel.kernel_id, "s2") as foreign,
    ):
        await until(lambda: connections(gateway, kernel.kernel_id) == 3, "all of them")
        await foreign.run("1")
        page = await begun(kernel, notebook, waiting(gate))
        other = Page(page.msg_id)
        kernel.core_wait = CoreWait("waits")
        await page.shows(notebook, "waits")
        await other.shows(same, "waits")
        gate.open()
        await page.end(notebook)
        await other.end(same)
        page.is_clean("2")
        other.is_clean("2")
        said = await foreign.until("idle", page.msg_id)
        assert [each["content"]["data"]["text/plain"] for each in said if each["msg_type"] == "display_data"] == ["2"]
        assert "clear_output" not in [each["msg_type"] for each in said]


async def test_a_silent_cell_is_told_nothing(gateway: Any, gate: Gate) -> None:
    kernel = await start(gateway)
    async with opened(gateway, kernel.kernel_id) as notebook:
        cell = notebook.send("execute_request", {"code": waiting(gate), "silent": True})
        await running(kernel, cell)
        await notebook.until("busy", cell)
        kernel.core_wait = CoreWait("waits")
        gate.open()
        said = await notebook.until("idle", cell)
        assert [each["content"]["data"]["text/plain"] for each in said if each["msg_type"] == "display_data"] == ["2"]


@PROTOCOLS
@pytest.mark.parametrize("session", ["s1", ""])
async def test_a_page_that_connects_anew_is_told_again(gateway: Any, gate: Gate, protocol: str, session: str) -> None:
    kernel = await start(gateway)
    kernel_id = kernel.kernel_id
    async with opened(gateway, kernel_id, session, protocol) as notebook:
        page = await begun(kernel, notebook, waiting(gate, "print('one')"), "one\n")
        kernel.core_wait = CoreWait("waits")
        await page.shows(notebook, "one\n", "waits")
    await until(lambda: connections(gateway, kernel_id) == 0, "its end")
    kernel.core_wait = CoreWait("waits, 5 s")
    async with opened(gateway, kernel_id, session, protocol) as notebook:
        await page.shows(notebook, "one\n", "waits, 5 s")
    await until(lambda: connections(gateway, kernel_id) == 0, "its end")
    kernel.core_wait = None
    async with opened(gateway, kernel_id, session, protocol) as notebook:
        await page.shows(notebook, "one\n")
        await hears(kernel)
        gate.open()
        # Without a session id its reply goes to the websocket that is closed.
        await page.read(notebook, lambda: "idle" in page.ended)
        page.is_clean("one\n", "2")


async def test_a_cell_that_ends_while_its_page_is_away(gateway: Any, gate: Gate) -> None:
    kernel = await start(gateway)
    kernel_id = kernel.kernel_id
    async with opened(gateway, kernel_id) as notebook:
        page = await begun(kernel, notebook, waiting(gate, "print('one')"), "one\n")
        kernel.core_wait = CoreWait("waits")
        await page.shows(notebook, "one\n", "waits")
    await until(lambda: connections(gateway, kernel_id) == 0, "its end")
    gate.open()
    kernel.core_wait = None
    await until(lambda: kernel.running_cell == "", "its end")
    async with opened(gateway, kernel_id) as notebook:
        await page.end(notebook)
        page.is_clean("one\n", "2")
    assert kernel.recorder.wait_line is None


@pytest.mark.integration
async def test_behind_a_jupyter_server_that_loses_its_gateway(gateway: Any, gate: Gate, tmp_path: Path) -> None:
    """It connects again by itself; the page knows nothing of that."""
    address: Any = SimpleNamespace(url=gateway.base_url, token="", environ=dict(os.environ))
    server = JupyterServer(address, tmp_path)
    try:
        await asyncio.to_thread(server.__enter__)
        _, started = await asyncio.to_thread(server.request, "POST", "/api/kernels", {"name": "python3"})
        kernel = with_lease(kernel_of(gateway, started["id"]))
        url = f"ws://127.0.0.1:{server.port}/api/kernels/{kernel.kernel_id}/channels?session_id=s1&token=lab"
        notebook = Notebook(await websocket_connect(url))
        page = await begun(kernel, notebook, waiting(gate, "print('one')"), "one\n")
        for number in range(2):
            kernel.core_wait = CoreWait(f"waits {number}")
            await page.shows(notebook, "one\n", f"waits {number}")
            [connection] = websockets(kernel)
            connection.websocket_handler.close()
            await until(lambda: connections(gateway, kernel.kernel_id) == 0, "its end")
            kernel.core_wait = CoreWait(f"waits on {number}")
            await page.shows(notebook, "one\n", f"waits on {number}")
        await hears(kernel)
        gate.open()
        await page.read(notebook, lambda: "idle" in page.ended)
        page.is_clean("one\n", "2")
        notebook.socket.close()
    finally:
        await asyncio.to_thread(server.__exit__)


@PROTOCOLS
@pytest.mark.parametrize("name", ["python3", "apache_toree_scala"])
async def test_a_cell_that_has_waited_too_long_fails_and_stops_those_behind_it(
    gateway: Any, gate: Gate, protocol: str, name: str
) -> None:
    kernel = await start(gateway, name)
    async with opened(gateway, kernel.kernel_id, "s1", protocol) as notebook:
        page = await begun(kernel, notebook, waiting(gate, "print('one')"), "one\n")
        behind = notebook.execute("print('never')")
        kernel.core_wait = CoreWait("waits")
        await page.shows(notebook, "one\n", "waits")
        kernel.core_wait = CoreWait("No core came free in 5 s.", is_over=True)
        await kernel.interrupt_kernel()
        kernel.core_wait = None
        after = Page(behind)
        await page.read(notebook, lambda: {"idle", "execute_reply"} <= page.ended)
        page.is_clean("one\n", "No core came free in 5 s.")
        assert (page.reply["status"], page.reply["ename"]) == ("error", "SparkWaitTimeout") and len(page.sessions) == 1
        assert page.lab.saved(page.msg_id)[1]["traceback"] == ["SparkWaitTimeout: No core came free in 5 s."]
        assert await notebook.run("print('goes on')") == "goes on\n"
        assert after.texts == []


async def test_a_kernel_that_dies_takes_it_away(gateway: Any, gate: Gate) -> None:
    kernel = await start(gateway)
    async with opened(gateway, kernel.kernel_id) as notebook:
        page = await begun(kernel, notebook, waiting(gate, "print('one')"), "one\n")
        kernel.core_wait = CoreWait("waits")
        await page.shows(notebook, "one\n", "waits")
        kill(kernel.pid)
        await page.shows(notebook, "one\n")
    assert kernel.recorder.wait_line is None and kernel.running_cell == ""


async def test_a_kernel_that_has_ended_has_no_record(gateways: Gateways, gate: Gate) -> None:
    """Its cell ends with it, and does not say so."""
    client = await gateways.open()
    kernel = await start(client)
    async with opened(client, kernel.kernel_id) as notebook:
        page = await begun(
            kernel, notebook, waiting(gate, "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")
        )
        kernel.core_wait = CoreWait("waits")
        await page.shows(notebook, "waits")
        assert await code_of(client, "DELETE", kernel.kernel_id) == 204
        kernel.core_wait = None
        assert f"{kernel.kernel_id}.json" not in gateways.files() and kernel.recorder.wait_line is None


async def test_a_note_is_told_once(gateway: Any) -> None:
    kernel = await start(gateway)
    kernel.core_note = "idle for 15 min: 2 cores given back"
    async with opened(gateway, kernel.kernel_id) as notebook:
        for texts in (["idle for 15 min: 2 cores given back", "1\n"], ["1\n"]):
            page = Page(notebook.execute("print(1)"))
            await page.end(notebook)
            page.is_clean(*texts)


@pytest.mark.parametrize("session", ["s1", ""])
@pytest.mark.parametrize("before", ["", "one\n"])
async def test_the_next_gateway_tells_it_again(gateways: Gateways, gate: Gate, session: str, before: str) -> None:
    """A kernel that shows nothing else is saved without a trace, another with an empty output."""
    first = await gateways.open()
    kernel = await start(first)
    kernel_id, shown = kernel.kernel_id, [before] if before else []
    async with opened(first, kernel_id, session) as notebook:
        page = await begun(kernel, notebook, waiting(gate, f"print({before!r}, end='')"), *shown)
        kernel.core_wait = CoreWait("waits")
        await page.shows(notebook, *shown, "waits")
        line = gateways.record(kernel_id).wait_line
        assert line is not None and (line.session, line.is_alone) == (session, not before)
        assert line.cell["msg_id"] == page.msg_id
        await gateways.kill(first)
    second = await gateways.open()
    kernel = kernel_of(second, kernel_id)
    async with opened(second, kernel_id, "s2") as foreign, opened(second, kernel_id, session) as notebook:
        kernel.core_wait = CoreWait("waits, 9 s")
        await page.shows(notebook, *shown, "waits, 9 s")
        await hears(kernel)
        gate.open()
        # Its reply goes to a socket of the gateway that is gone.
        await page.read(notebook, lambda: "idle" in page.ended)
        page.is_clean(*shown, *([""] if before else []), "2")
        said = await foreign.until("idle", page.msg_id)
        assert not {"update_display_data", "clear_output"} & {each["msg_type"] for each in said}
        assert "waits" not in str(said)
    assert gateways.record(kernel_id).wait_line is None
