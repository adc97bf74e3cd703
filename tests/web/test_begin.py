"""The first moments of a gateway, its last ones, and those of its kernels, with the records of all that."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import websocket_connect

from kg2at_personality.adoption import Adoption
from kg2at_personality.kernels.record_keeper import RecordKeeper
from kg2at_personality.personality import KG2ATPersonality
from kg2at_personality.state import ledger
from kg2at_personality.state.ledger import LOCK, Ledger
from kg2at_personality.state.record import RESTARTING, RUNNING, STARTING
from tests.fakes.app import Client
from tests.fakes.clock import ticks
from tests.fakes.gateways import ID, Gateways, answering, code_of, json_of, kernel_of, listed, settled
from tests.fakes.held_calls import HeldCalls
from tests.fakes.processes import runs
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
KEEP: dict[str, Any] = {"KG2ATPersonality": {"keep_kernels_on_exit": True}}
HANGS = "spark.fake.does hang"
TOREE = "apache_toree_scala"


class FullDisk:
    """No record can be written from now on; `after`: but so many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch, self._real, self._left = monkeypatch, ledger.write_private, 0

    def fill(self, after: int = 0) -> None:
        self._left = after
        self._monkeypatch.setattr("kg2at_personality.state.ledger.write_private", self._write)

    def _write(self, path: Path, content: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._real(path, content)

    def make_room(self) -> None:
        self._monkeypatch.setattr("kg2at_personality.state.ledger.write_private", self._real)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    return FullDisk(monkeypatch)


def post(client: Client, name: str = TOREE, **body: Any) -> asyncio.Future[Any]:
    """A request for a kernel, under way."""
    return asyncio.ensure_future(client.ask("POST", "/api/kernels", {"name": name, "kernel_id": ID} | body))


def delete(client: Client, kernel_id: str = ID) -> asyncio.Future[int]:
    return asyncio.ensure_future(code_of(client, "DELETE", kernel_id))


def check_nothing_is_left(gateways: Gateways, client: Client) -> None:
    manager = client.app.kernel_manager
    assert gateways.files() == [] and gateways.spark.living() == []
    assert (manager.list_kernel_ids(), manager.starts._starts, manager._pending_kernels) == ([], {}, {})
    assert (manager.starts._starts, manager.stops._tasks) == ({}, {})
    assert not manager.clusters.holds(ID)


# While it begins.


class Beginning:
    """Holds the adoption, and counts who waits for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting, self.runs, self.go = 0, 0, asyncio.Event()
        run, begin = Adoption.run, KG2ATPersonality.begin

        async def held(adoption: Adoption) -> None:
            self.runs += 1
            await self.go.wait()
            await run(adoption)

        async def counted(personality: KG2ATPersonality) -> None:
            self.waiting += 1
            await begin(personality)

        monkeypatch.setattr(Adoption, "run", held)
        monkeypatch.setattr(KG2ATPersonality, "begin", counted)

    async def is_waited_for_by(self, count: int) -> None:
        await until(lambda: self.waiting == count, f"{count} who wait")


@pytest.fixture
def beginning(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Beginning]]:
    """To be called in a test, where a loop runs."""
    made: list[Beginning] = []

    def begin() -> Beginning:
        made.append(Beginning(monkeypatch))
        return made[-1]

    yield begin
    for each in made:
        each.go.set()


async def test_whoever_comes_while_it_begins_waits_and_gets_its_kernel(
    gateways: Gateways, beginning: Callable[[], Beginning]
) -> None:
    process, held, client = await gateways.mute(), beginning(), await gateways.serve()
    paths = ["/api/kernels", f"/api/kernels/{ID}", "/api/sessions", "/kg2at/status", "/api/kernelspecs"]
    asked = [asyncio.ensure_future(client.ask("GET", path)) for path in paths]
    asked.append(post(client, "python3", kernel_id=None))
    await held.is_waited_for_by(len(asked))
    await ticks()
    assert not any(each.done() for each in asked)
    held.go.set()
    answers = await asyncio.gather(*asked)
    assert [answer.code for answer in answers] == [200] * len(paths) + [201]
    assert ID in [each["id"] for each in json.loads(answers[0].body)]
    assert json.loads(answers[3].body)["kernels"][0]["pid"] == process.pid
    assert held.runs == 1


async def test_its_kernel_can_be_deleted_while_it_begins(
    gateways: Gateways, beginning: Callable[[], Beginning]
) -> None:
    process, held, client = await gateways.mute(), beginning(), await gateways.serve()
    asked = [delete(client), delete(client)]
    await held.is_waited_for_by(2)
    held.go.set()
    assert await asyncio.gather(*asked) == [204, 204]
    assert not runs(process.pid) and gateways.files() == []


async def test_a_notebook_that_reconnects_while_it_begins_waits(
    gateways: Gateways, beginning: Callable[[], Beginning]
) -> None:
    kernel_id, _ = await answering(gateways)
    held, client = beginning(), await gateways.serve()
    url = client.base_url.replace("http", "ws") + f"/api/kernels/{kernel_id}/channels"
    opening = asyncio.ensure_future(websocket_connect(url))
    await held.is_waited_for_by(1)
    await ticks()
    assert not opening.done()
    held.go.set()
    (await asyncio.wait_for(opening, 20)).close()


async def test_one_who_hangs_up_while_it_begins_stops_nothing(
    gateways: Gateways, beginning: Callable[[], Beginning]
) -> None:
    await gateways.mute()
    held, client = beginning(), await gateways.serve()
    port = int(client.base_url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/kernels HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await held.is_waited_for_by(1)
    writer.close()
    await writer.wait_closed()
    other = asyncio.ensure_future(listed(client))
    await held.is_waited_for_by(2)
    held.go.set()
    assert await other == [ID] and held.runs == 1


async def test_one_without_the_token_is_told_at_once(gateways: Gateways, beginning: Callable[[], Beginning]) -> None:
    await gateways.mute()
    held, client = beginning(), await gateways.serve(KernelGatewayApp={"auth_token": "s3cr3t"})
    assert (await client.ask("GET", "/api/kernels")).code == 401 and held.waiting == 0


async def test_its_end_while_it_begins_comes_after(gateways: Gateways, beginning: Callable[[], Beginning]) -> None:
    process, held, client = await gateways.mute(), beginning(), await gateways.serve()
    asked = asyncio.ensure_future(client.ask("GET", "/api/kernels"))
    await held.is_waited_for_by(1)
    ending = asyncio.ensure_future(client.app.personality.shutdown())
    await ticks()
    assert not ending.done()
    held.go.set()
    await asyncio.gather(asked, ending)
    assert not runs(process.pid) and gateways.spark.left() == [] and not gateways.path.exists()


async def test_where_no_record_can_be_kept_no_kernel_starts_until_one_can(gateways: Gateways, caplog: Any) -> None:
    gateways.path.write_text("a file")
    client = await gateways.open()
    assert "can't be used" in caplog.text and str(gateways.path) in caplog.text
    assert (await client.ask("GET", "/api/kernels")).body == b"[]"
    answer = await post(client, "python3")
    assert (answer.code, answer.reason) == (503, "Kernel could not be launched")
    assert str(gateways.path) in json.loads(answer.body)["message"] and gateways.spark.left() == []
    gateways.path.unlink()
    assert (await post(client, "python3")).code == 201
    assert gateways.record().step == RUNNING and (gateways.path / LOCK).exists()
    assert await delete(client) == 204 and gateways.files() == []


# Two at once.


async def test_a_second_gateway_on_its_directory_ends_and_says_why(gateways: Gateways, caplog: Any) -> None:
    gateways.timing = replace(gateways.timing, lock_limit=0)
    first = await gateways.open(KernelGatewayApp={"port": 8901})
    kernel_id = await first.start()
    second = await gateways.serve(KernelGatewayApp={"port": 8902})
    with pytest.raises(SystemExit) as ended:
        await second.app.personality._begin()
    assert ended.value.code == 1
    [told] = {each.getMessage() for each in caplog.records if each.levelno == logging.CRITICAL}
    for part in ("kg2at can't start. ", str(gateways.path), f"process {os.getpid()}", socket.gethostname(), "8901"):
        assert part in told
    assert "state_dir" in told and "\n" not in told
    await second.app.personality.shutdown()
    assert await listed(first) == [kernel_id] and runs(kernel_of(first, kernel_id).pid or 0)
    assert gateways.record(kernel_id).step == RUNNING


async def test_each_port_has_a_directory_of_its_own(gateways: Gateways) -> None:
    for port in (8901, 8902):
        client = await gateways.open(KernelGatewayApp={"port": port}, KG2ATPersonality={"state_dir": ""})
        assert (Path(client.app.runtime_dir) / f"kg2at-{port}" / LOCK).exists()


# Its end.


async def test_its_kernels_end_with_it_and_its_directory_is_removed(gateways: Gateways) -> None:
    client = await gateways.open()
    kernels = [kernel_of(client, await client.start()) for _ in range(2)]
    pids = [each.pid for each in kernels]
    await client.app.personality.shutdown()
    assert not any(runs(pid) for pid in pids if pid) and None not in pids
    assert gateways.spark.left() == [] and not gateways.path.exists()


async def test_its_kernels_go_on_without_it_when_they_are_to(gateways: Gateways) -> None:
    first = await gateways.open(**KEEP)
    kernel_id = await first.start(env={"KERNEL_USERNAME": "anna"})
    await first.run(kernel_id, "x = 41")
    pid = kernel_of(first, kernel_id).pid
    body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    session = json.loads((await first.ask("POST", "/api/sessions", body)).body)
    left, record = gateways.files(), gateways.record(kernel_id)
    for each in (kernel_id, session["kernel"]["id"]):
        gateways._orphan(kernel_of(first, each).provisioner.process)
    await first.app.personality.shutdown()
    # As Python's end does.
    kernel_of(first, kernel_id).__del__()
    assert pid is not None and runs(pid)
    assert gateways.files() == left and gateways.record(kernel_id) == record and record.step == RUNNING
    assert await code_of(first, "GET", kernel_id) in (200, 404, 503), "nobody hangs"

    second = await gateways.open()
    assert await listed(second) == sorted([kernel_id, session["kernel"]["id"]])
    assert kernel_of(second, kernel_id).pid == pid
    assert await second.run(kernel_id, "print(x)") == "41\n"
    assert [each["id"] for each in await json_of(second, "/api/sessions")] == [session["id"]]


async def test_none_that_ends_leaves_a_directory_without_kernels(gateways: Gateways) -> None:
    client = await gateways.open(**KEEP)
    kernel_id = await client.start()
    assert await code_of(client, "DELETE", kernel_id) == 204
    await client.app.personality.shutdown()
    assert not gateways.path.exists() and gateways.spark.left() == []


async def test_it_waits_for_a_start_that_it_keeps(gateways: Gateways, launches: HeldCalls) -> None:
    gateways.spark.defaults(HANGS)
    first = await gateways.open(**KEEP)
    launches.hold()
    asked = post(first)
    await launches.reached()
    assert gateways.record().step == STARTING and gateways.record().pid is None
    ending = asyncio.ensure_future(first.app.personality.shutdown())
    await ticks()
    assert not ending.done()
    launches.release()
    await ending
    record = gateways.record()
    assert record.step == RUNNING and record.pid is not None and runs(record.pid)
    assert (await asked).code == 201

    gateways._orphan(kernel_of(first).provisioner.process)
    second = await gateways.open()
    assert await listed(second) == [ID] and kernel_of(second).pid == record.pid


async def test_a_start_that_waits_is_refused_when_it_ends(gateways: Gateways, plans: HeldCalls) -> None:
    client = await gateways.open(**KEEP)
    plans.hold()
    asked = post(client)
    await plans.reached()
    ending = asyncio.ensure_future(client.app.personality.shutdown())
    await asyncio.sleep(0)  # no step of the end comes before that no kernel is started any more
    plans.release()
    await ending
    answer = await asked
    assert (answer.code, answer.reason) == (503, "Gateway is shutting down")
    check_nothing_is_left(gateways, client)
    assert not gateways.path.exists()


async def test_it_waits_for_a_restart_that_it_keeps(gateways: Gateways, launches: HeldCalls) -> None:
    client = await gateways.open(**KEEP)
    assert (await post(client)).code == 201
    await kernel_of(client).answered()
    old = kernel_of(client).pid
    launches.hold()
    asked = asyncio.ensure_future(client.ask("POST", f"/api/kernels/{ID}/restart", {}))
    await launches.reached()
    assert gateways.record().step == RESTARTING
    ending = asyncio.ensure_future(client.app.personality.shutdown())
    await ticks()
    assert not ending.done()
    launches.release()
    await ending
    record = gateways.record()
    assert record.step == RUNNING and record.pid not in (None, old) and runs(record.pid or 0)
    assert (await asked).code in (200, 503)
    gateways._orphan(kernel_of(client).provisioner.process)


async def test_it_waits_for_an_end_that_is_under_way(gateways: Gateways) -> None:
    """That takes this Toree 0.1 s at least, which does not listen."""
    gateways.spark.defaults(HANGS)
    client = await gateways.open(**KEEP)
    assert (await post(client)).code == 201
    pid, ended = kernel_of(client).pid, delete(client)
    await until(lambda: client.app.kernel_manager.stops, "its end")
    await client.app.personality.shutdown()
    assert await ended == 204 and pid is not None and not runs(pid)
    assert not gateways.path.exists() and gateways.spark.left() == []


# Starts that nobody wants any more.


async def check_it_was_ended(gateways: Gateways, client: Client, asked: asyncio.Future[Any]) -> None:
    answer = await asked
    assert (answer.code, answer.reason) == (409, "Kernel was shut down"), answer.body
    await settled(client)
    check_nothing_is_left(gateways, client)
    assert await code_of(client, "GET") == 404 and await delete(client) == 204


@pytest.mark.parametrize("clicks", [1, 2, 10])
async def test_deleting_one_that_waits_for_its_plan(gateways: Gateways, plans: HeldCalls, clicks: int) -> None:
    client = await gateways.open()
    plans.hold()
    asked = post(client)
    await plans.reached()
    assert await asyncio.gather(*(delete(client) for _ in range(clicks))) == [204] * clicks
    await check_it_was_ended(gateways, client, asked)
    plans.release()
    await ticks()
    check_nothing_is_left(gateways, client)
    assert gateways.spark.launches() == [], "it cost no process"


@pytest.mark.parametrize("clicks", [1, 2])
async def test_deleting_one_that_waits_for_its_cores(gateways: Gateways, clicks: int) -> None:
    gateways.spark.defaults("spark.cores.max 3", master="spark://127.0.0.1:9")
    client = await gateways.open(KG2ATPersonality={"master_url": "http://127.0.0.1:9", "core_wait_timeout": 30.0})
    asked = post(client)

    async def queue() -> list[str]:
        return [each["kernel_id"] for each in (await json_of(client, "/kg2at/status"))["queue"]]

    await until(lambda: client.app.kernel_manager.clusters.status(), "the queue")
    while await queue() != [ID]:
        assert not asked.done()
    assert await asyncio.gather(*(delete(client) for _ in range(clicks))) == [204] * clicks
    await check_it_was_ended(gateways, client, asked)
    assert await queue() == [] and gateways.spark.launches() == []


@pytest.mark.parametrize("clicks", [1, 2])
async def test_deleting_one_in_the_midst_of_its_launch(gateways: Gateways, launches: HeldCalls, clicks: int) -> None:
    gateways.spark.defaults(HANGS)
    client = await gateways.open()
    launches.hold()
    asked = post(client)
    await launches.reached()
    assert gateways.record().step == STARTING, "the next gateway would know of it"
    clicked = [delete(client) for _ in range(clicks)]
    await until(lambda: client.app.kernel_manager.stops, "its end")
    await ticks()
    assert not any(each.done() for each in clicked), "what is not there yet can't be ended"
    launches.release()
    assert await asyncio.gather(*clicked) == [204] * clicks
    check_nothing_is_left(gateways, client)
    await check_it_was_ended(gateways, client, asked)


async def test_its_id_can_be_used_again(gateways: Gateways, plans: HeldCalls) -> None:
    gateways.spark.defaults(HANGS)
    client = await gateways.open()
    plans.hold()
    asked = post(client)
    await plans.reached()
    assert await delete(client) == 204 and (await asked).code == 409
    plans.release()
    assert (await post(client)).code == 201
    assert await listed(client) == [ID] and gateways.record().step == RUNNING


# A full disk.


@pytest.mark.parametrize("name", ["python3", TOREE])
@pytest.mark.parametrize("writes", [0, 1])
async def test_a_start_on_a_full_disk_is_refused_and_leaves_nothing(
    gateways: Gateways, disk: FullDisk, name: str, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its process, and after."""
    gateways.spark.defaults(HANGS)
    client, pids, write = await gateways.open(), [], RecordKeeper.write_process

    def launched(recorder: RecordKeeper) -> None:
        pids.append(recorder._kernel.pid or 0)
        write(recorder)

    monkeypatch.setattr(RecordKeeper, "write_process", launched)
    disk.fill(after=writes)
    answer = await post(client, name)
    assert (answer.code, answer.reason) == (503, "Kernel could not be launched")
    assert "No space left" in json.loads(answer.body)["message"]
    assert len(pids) == writes and not any(map(runs, pids))
    check_nothing_is_left(gateways, client)
    disk.make_room()
    assert (await post(client, name)).code == 201
    assert await delete(client) == 204


async def test_a_restart_on_a_full_disk_is_refused_and_the_kernel_goes_on(gateways: Gateways, disk: FullDisk) -> None:
    client = await gateways.open()
    assert (await post(client, "python3")).code == 201
    await client.run(ID, "x = 41")
    pid, before = kernel_of(client).pid, gateways.record()
    disk.fill()
    answer = await client.ask("POST", f"/api/kernels/{ID}/restart", {})
    assert (answer.code, answer.reason) == (503, "Kernel could not be launched")
    assert "No space left" in json.loads(answer.body)["message"]
    assert kernel_of(client).pid == pid and await client.run(ID, "print(x)") == "41\n"
    assert gateways.record() == before
    disk.make_room()
    assert (await client.ask("POST", f"/api/kernels/{ID}/restart", {})).code == 200
    assert await client.run(ID, "print('x' in dir())") == "False\n"
    assert gateways.record().pid == kernel_of(client).pid != pid


async def test_a_kernel_is_deleted_on_a_full_disk_too(gateways: Gateways, disk: FullDisk, caplog: Any) -> None:
    client = await gateways.open()
    assert (await post(client, "python3")).code == 201
    pid = kernel_of(client).pid
    disk.fill()
    assert await delete(client) == 204
    assert pid is not None and not runs(pid)
    check_nothing_is_left(gateways, client)
    assert f"The record of kernel {ID} could not be written" in caplog.text


async def test_a_session_on_a_full_disk_is_refused_or_goes_on(gateways: Gateways, disk: FullDisk) -> None:
    client = await gateways.open()
    body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    disk.fill()
    assert (await client.ask("POST", "/api/sessions", body)).code == 503
    assert await json_of(client, "/api/sessions") == []
    disk.fill(after=2)
    session = json.loads((await client.ask("POST", "/api/sessions", body)).body)
    assert [each["id"] for each in await json_of(client, "/api/sessions")] == [session["id"]]
    assert (await client.ask("DELETE", f"/api/sessions/{session['id']}")).code == 204
    check_nothing_is_left(gateways, client)


async def test_what_another_gateway_holds_is_not_written_to(gateways: Gateways) -> None:
    """It took the directory while this one could not be used."""
    gateways.timing = replace(gateways.timing, lock_limit=0)
    gateways.path.write_text("a file")
    client = await gateways.open()
    gateways.path.unlink()
    other = Ledger(gateways.path, {"process": 4711}, logging.getLogger("tests.ledger"))
    other.open()
    answer = await post(client, "python3")
    assert answer.code == 503 and "4711" in json.loads(answer.body)["message"]
    assert gateways.files() == []
    other.close()
    assert (await post(client, "python3")).code == 201
