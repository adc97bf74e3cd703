"""A gateway goes on with what another left that died."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.connect import LocalPortCache, port_names
from jupyter_server.prometheus.metrics import KERNEL_CURRENTLY_RUNNING_TOTAL
from tornado.websocket import websocket_connect

from kg2at_personality import adoption
from kg2at_personality.kernels import supplies
from kg2at_personality.kernels.supplies import Supplies
from kg2at_personality.state.ledger import ASIDE, LOCK, MARK
from kg2at_personality.state.record import RESTARTING, RUNNING, STARTING, STOPPING, WARM
from kg2at_personality.system.processes import started_at
from tests.fakes.app import Client
from tests.fakes.gateways import (
    ID,
    MUTE,
    OTHER,
    Gateways,
    answering,
    busy,
    code_of,
    idle,
    json_of,
    kernel_of,
    listed,
    row_of,
    settled,
    state_of,
)
from tests.fakes.ports import held_range
from tests.fakes.processes import runs
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
HANGS = "spark.fake.does hang"
KILLPG = os.killpg


def running() -> float:
    """jupyter_server's gauge of python kernels."""
    return float(KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type="python3")._value.get())


# What runs goes on.


async def test_a_kernel_goes_on_with_its_variables_from_one_gateway_to_the_next(gateways: Gateways) -> None:
    kernel_id, pid = await answering(gateways)
    for value in (41, 42):
        client = await gateways.open()
        assert await listed(client) == [kernel_id]
        kernel = kernel_of(client, kernel_id)
        assert (kernel.pid, kernel.has_answered, kernel.launches) == (pid, True, 1)
        await idle(client, kernel_id)
        assert (await json_of(client, f"/api/kernels/{kernel_id}"))["name"] == "python3"
        assert await client.run(kernel_id, "print(x); x += 1") == f"{value}\n"
        assert gateways.record(kernel_id).step == RUNNING
        await gateways.kill(client)
    assert runs(pid)


async def test_its_notebooks_go_on(gateways: Gateways) -> None:
    """The gateway asks it for nothing that its record says, and its websocket opens at once."""
    kernel_id, _ = await answering(gateways)
    client = await gateways.open()
    url = client.base_url.replace("http", "ws") + f"/api/kernels/{kernel_id}/channels?session_id=a"
    socket = await asyncio.wait_for(websocket_connect(url), 20)
    header = {"msg_id": "one", "msg_type": "execute_request", "session": "a", "username": ""}
    content = {"code": "print(x)"}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    await socket.write_message(json.dumps(message))
    text = ""
    while not text:
        received = json.loads(await asyncio.wait_for(socket.read_message(), 20))
        text = received["content"].get("text", "") if received["msg_type"] == "stream" else ""
    assert text == "41\n"
    socket.close()


async def test_its_user_and_its_age_are_what_they_were(gateways: Gateways) -> None:
    first = await gateways.open()
    kernel_id = await first.start(env={"KERNEL_USERNAME": "anna", "KERNEL_MARK": "m"})
    before = await row_of(first, kernel_id)
    assert before["user"] == "anna" and abs(datetime.now().astimezone() - _time(before)) < timedelta(minutes=1)
    await gateways.kill(first)
    second = await gateways.open()
    after = await row_of(second, kernel_id)
    same = ("kernel_id", "name", "user", "since", "pid")
    assert [after[name] for name in same] == [before[name] for name in same]


def _time(row: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(row["since"].replace("Z", "+00:00"))


@pytest.mark.usefixtures("ipykernel")  # which takes its time
async def test_one_that_has_not_answered_yet_goes_on_to_start(gateways: Gateways) -> None:
    first = await gateways.open()
    kernel_id = await first.start()
    await gateways.kill(first)
    second = await gateways.open()
    assert await state_of(second, kernel_id) == "starting" and gateways.record(kernel_id).info is None
    await asyncio.wait_for(kernel_of(second, kernel_id).answered(), 30)
    await idle(second, kernel_id)
    assert gateways.record(kernel_id).info, "and the next gateway need not ask it"


async def test_one_that_has_not_answered_yet_and_dies_says_so(gateways: Gateways) -> None:
    process = await gateways.mute()
    client = await gateways.open()
    assert await state_of(client) == "starting"
    process.kill()
    await until(lambda: kernel_of(client).is_dead, "its death")
    assert "before it answered (exit status unknown)" in kernel_of(client).reason
    assert await code_of(client, "DELETE") == 204 and gateways.files() == []


async def test_one_that_is_busy_is_until_its_cell_ends(gateways: Gateways) -> None:
    gateways.timing = replace(gateways.timing, start_poll=0.02)
    kernel_id, gate = await busy(gateways)
    client = await gateways.open()
    assert await states_meanwhile(client, kernel_id) == {"busy"}
    gate.touch()
    await idle(client, kernel_id)
    assert await client.run(kernel_id, "print(x)") == "1\n"


async def states_meanwhile(client: Client, kernel_id: str = ID) -> set[str]:
    """Return the states that the kernel is in for the next 0.4 s, in which the gateway looks at it several times.

    That it stays in one can be seen only as time goes by: this sleep waits for nothing.
    """
    states = set()
    for _ in range(20):
        states.add(await state_of(client, kernel_id))
        await asyncio.sleep(0.02)
    return states


async def test_one_that_is_busy_can_be_interrupted(gateways: Gateways) -> None:
    kernel_id, _ = await busy(gateways)
    client = await gateways.open()
    assert await state_of(client, kernel_id) == "busy"
    assert await code_of(client, "POST", kernel_id, "/interrupt") == 204
    await idle(client, kernel_id)
    assert await client.run(kernel_id, "print(x)") == "0\n"


async def test_one_that_may_not_have_learned_to_be_interrupted_learns_it(gateways: Gateways) -> None:
    """Its gateway died while it did. An interrupt that comes meanwhile is given afterwards."""
    spark, first = gateways.spark, await gateways.open()
    spark.defaults("spark.fake.learns hang")
    kernel_id = await first.start(name="apache_toree_scala")
    await kernel_of(first, kernel_id).answered()
    await gateways.kill(first)
    assert not gateways.record(kernel_id).is_set_up

    client = await gateways.open()
    kernel = kernel_of(client, kernel_id)
    assert await code_of(client, "POST", kernel_id, "/interrupt") == 204
    assert not kernel.setup_cell.has_ended and spark.interrupts(kernel_id) == []
    await until(lambda: spark.interrupts(kernel_id) == ["SIGUSR2"], "the interrupt")
    assert spark.learned(kernel_id) == 2 and await client.run(kernel_id, "print(6 * 7)") == "42\n"
    await until(lambda: gateways.record(kernel_id).is_set_up, "its record")


async def test_it_restarts_on_its_ports(gateways: Gateways) -> None:
    kernel_id, pid = await answering(gateways, env={"KERNEL_USERNAME": "anna"})
    client = await gateways.open()
    ports = kernel_of(client, kernel_id).ports
    assert {*ports} <= LocalPortCache.instance().currently_used_ports
    answer = await client.ask("POST", f"/api/kernels/{kernel_id}/restart", {})
    assert answer.code == 200 and json.loads(answer.body)["id"] == kernel_id
    show = "import os; print('x' in dir(), os.environ['KERNEL_USERNAME'], os.environ['KERNEL_ID'])"
    assert await client.run(kernel_id, show) == f"False anna {kernel_id}\n"
    assert not runs(pid) and kernel_of(client, kernel_id).ports == ports
    record = gateways.record(kernel_id)
    assert (record.pid, record.launches, record.step) == (kernel_of(client, kernel_id).pid, 2, RUNNING)


async def test_one_that_dies_is_restarted(gateways: Gateways) -> None:
    kernel_id, pid = await answering(gateways)
    client = await gateways.open()
    os.kill(pid, signal.SIGKILL)
    kernel = kernel_of(client, kernel_id)
    await until(lambda: kernel.pid not in (None, pid) and kernel.has_answered, "the next process")
    assert await client.run(kernel_id, "print('x' in dir())") == "False\n"
    assert gateways.record(kernel_id).pid == kernel.pid


@pytest.mark.parametrize("answers", [True, False])
async def test_deleting_it_leaves_nothing(gateways: Gateways, answers: bool) -> None:
    if answers:
        kernel_id, pid = await answering(gateways)
    else:
        kernel_id, pid = ID, (await gateways.mute()).pid
    client = await gateways.open()
    assert await code_of(client, "DELETE", kernel_id) == 204
    assert not runs(pid) and gateways.files() == []
    assert await code_of(client, "GET", kernel_id) == 404
    assert await code_of(client, "DELETE", kernel_id) == 204, "again"
    assert await listed(client) == []
    await client.app.personality.shutdown()
    assert not gateways.path.exists()


async def test_it_is_counted(gateways: Gateways) -> None:
    before = running()
    await gateways.mute(ID)
    await gateways.mute(OTHER)
    gateways.gone("33333333-3333-4333-8333-333333333333")
    client = await gateways.open()
    assert running() == before + 2
    assert [await code_of(client, "DELETE", kernel_id) for kernel_id in (ID, OTHER)] == [204, 204]
    assert running() == before


async def test_it_takes_a_place_among_max_kernels(gateways: Gateways) -> None:
    await gateways.mute()
    client = await gateways.open(KernelGatewayApp={"max_kernels": 1})
    assert (await client.ask("POST", "/api/kernels", {"name": "python3"})).code == 403
    assert await code_of(client, "DELETE") == 204
    await client.start()


async def test_it_is_culled(gateways: Gateways) -> None:
    process = await gateways.mute()
    client = await gateways.open(MappingKernelManager={"cull_idle_timeout": 1, "cull_interval": 1})
    await until(lambda: not runs(process.pid) and gateways.files() == [], "its end")
    answer = await client.ask("GET", f"/api/kernels/{ID}")
    assert (answer.code, answer.reason) == (404, "Kernel was not used"), "it was there"


async def test_sessions_go_on(gateways: Gateways) -> None:
    first = await gateways.open()
    made = []
    for name in ("a", "b"):
        body = {"path": f"{name}.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        made.append(json.loads((await first.ask("POST", "/api/sessions", body)).body))
    first.app.session_manager.update_session(made[0]["id"], path="renamed.ipynb")
    before = await json_of(first, "/api/sessions")
    assert sorted(each["notebook"]["path"] for each in before) == ["b.ipynb", "renamed.ipynb"]
    await gateways.kill(first)

    second = await gateways.open()
    after = await json_of(second, "/api/sessions")
    assert [_named(each) for each in sorted(after, key=_named)] == [_named(each) for each in sorted(before, key=_named)]
    again = {"path": "renamed.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    assert json.loads((await second.ask("POST", "/api/sessions", again)).body)["id"] == made[0]["id"]
    pid = kernel_of(second, made[0]["kernel"]["id"]).pid
    for _ in range(2):
        assert (await second.ask("DELETE", f"/api/sessions/{made[0]['id']}")).code == 204
    assert pid is not None and not runs(pid)
    assert [_named(each)[1] for each in await json_of(second, "/api/sessions")] == ["b.ipynb"]
    assert await listed(second) == [made[1]["kernel"]["id"]]
    assert (await second.ask("DELETE", "/api/sessions/1-2-3-4-5")).code == 404


def _named(session: dict[str, Any]) -> tuple[str, str, str]:
    return session["id"], session["notebook"]["path"], session["kernel"]["id"]


async def test_what_it_left_in_its_group_goes_when_it_is_deleted(gateways: Gateways) -> None:
    child = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    process = await gateways.mute(ID, sys.executable, "-S", "-c", child)
    await until(process.children, "its child")
    [left] = process.children()
    gateways.processes.append(left)
    client = await gateways.open()
    assert await code_of(client, "DELETE") == 204
    assert not runs(process.pid) and not runs(left.pid)


async def test_one_whose_kernelspec_is_gone_goes_on(gateways: Gateways) -> None:
    process = await gateways.mute(kernel_name="no-more")
    client = await gateways.open()
    assert await code_of(client, "POST", action="/restart") == 404
    assert runs(process.pid) and (await row_of(client))["name"] == "no-more"
    assert await code_of(client, "DELETE") == 204
    assert not runs(process.pid)


# Toree.


async def test_a_toree_goes_on(gateways: Gateways) -> None:
    spark, first = gateways.spark, await gateways.open()
    kernel_id = await first.start(name="apache_toree_sql", env={"KERNEL_USERNAME": "anna"})
    await kernel_of(first, kernel_id).answered()
    await first.run(kernel_id, "x = 41")
    pid = spark.launches(kernel_id)[0]["pid"]
    await until(lambda: gateways.record(kernel_id).info, "its answer in its record")
    await gateways.kill(first)

    second = await gateways.open()
    kernel = kernel_of(second, kernel_id)
    assert (kernel.is_toree, kernel.kind.is_sql, kernel.pid, kernel.user) == (True, True, pid, "anna")
    assert await second.run(kernel_id, "print(x)") == "41\n"
    assert await code_of(second, "POST", kernel_id, "/interrupt") == 204
    await until(lambda: spark.interrupts(kernel_id) == ["SIGUSR2"], "its interrupt")
    left = {Path(name).suffix for name in spark.left()}
    assert {".json", ".properties", ".log"} <= left
    assert await code_of(second, "DELETE", kernel_id) == 204
    assert not runs(pid) and gateways.files() == []


async def test_what_it_was_lent_is_lent_to_nobody_else(gateways: Gateways) -> None:
    ports = {"KG2ATPersonality": {"kernel_ports": held_range(10)}}
    gateways.spark.defaults(HANGS)
    first = await gateways.open(**ports)
    kernel_id = await first.start(name="apache_toree_scala")
    lent = kernel_of(first, kernel_id).ports
    await gateways.spark.launched(kernel_id)
    await gateways.kill(first)

    second = await gateways.open(**ports)
    assert kernel_of(second, kernel_id).ports == lent
    other = await second.start(name="apache_toree_scala")
    assert {*kernel_of(second, other).ports}.isdisjoint(lent), "nobody listens there yet"
    refused = await second.ask("POST", "/api/kernels", {"name": "apache_toree_scala"})
    assert (refused.code, refused.reason) == (503, "No free kernel port")
    assert await code_of(second, "DELETE", kernel_id) == 204
    assert {*kernel_of(second, await second.start(name="apache_toree_scala")).ports} == {*lent}


async def test_what_it_was_admitted_with_is_held_for_it(gateways: Gateways) -> None:
    """No master answers; it holds cores all the same."""
    policy = {"KG2ATPersonality": {"master_unreachable": "admit", "master_url": "http://127.0.0.1:9"}}
    gateways.spark.defaults(HANGS, "spark.cores.max 3", master="spark://127.0.0.1:9")
    first = await gateways.open(**policy)
    kernel_id = await first.start(name="apache_toree_scala", env={"KERNEL_USERNAME": "anna"})
    assert (await row_of(first, kernel_id))["cores"] == 3
    await gateways.spark.launched(kernel_id)
    await gateways.kill(first)

    gateways.spark.defaults(HANGS, "spark.cores.max 7", master="spark://127.0.0.1:9")
    second = await gateways.open(**policy)
    row = await row_of(second, kernel_id)
    assert (row["cores"], row["user"]) == (3, "anna")
    assert await code_of(second, "DELETE", kernel_id) == 204
    assert not second.app.kernel_manager.clusters.holds(kernel_id)


async def test_its_applications_are_known_by_what_its_last_launch_called_them(gateways: Gateways) -> None:
    policy = {"KG2ATPersonality": {"master_unreachable": "admit", "master_url": "http://127.0.0.1:9"}}

    def names(client: Any, kernel_id: str) -> set[str]:
        [queue] = [queue for queue, _ in client.app.kernel_manager.clusters._queues.values()]
        [lease] = [lease for lease in queue._leases.held if lease.kernel_id == kernel_id]
        shown, written = lease.claim.identity, gateways.record(kernel_id).admission
        assert written is not None and written.request.application is not None
        assert {shown.user, written.request.application.user} == {getpass.getuser()}
        return {shown.name, written.request.application.name}

    gateways.spark.defaults("spark.app.name Old", master="spark://127.0.0.1:9")
    first = await gateways.open(**policy)
    kernel_id = await first.start(name="apache_toree_scala")
    await kernel_of(first, kernel_id).answered()
    gateways.spark.defaults("spark.app.name New", master="spark://127.0.0.1:9")
    assert names(first, kernel_id) == {f"Old {kernel_id}"}
    assert await code_of(first, "POST", kernel_id, "/restart") == 200
    await kernel_of(first, kernel_id).answered()
    assert names(first, kernel_id) == {f"New {kernel_id}"}
    seen = await gateways.spark.launched(kernel_id, 2)
    assert seen["properties"]["spark.app.name"] == f"New {kernel_id}"
    await until(lambda: gateways.record(kernel_id).info, "its second answer in its record")
    await gateways.kill(first)
    second = await gateways.open(**policy)
    assert names(second, kernel_id) == {f"New {kernel_id}"}
    assert await code_of(second, "DELETE", kernel_id) == 204


# What does not run any more is cleaned up.


@pytest.mark.parametrize("step", [STARTING, RUNNING, STOPPING, WARM])
async def test_one_that_died_meanwhile_leaves_nothing(gateways: Gateways, step: str) -> None:
    process = await gateways.mute(step=step)
    gateways.write_connection_file(beside=True)
    process.kill()
    await until(lambda: not runs(process.pid), "its death")
    before, client = running(), await gateways.open()
    await settled(client)
    assert gateways.files() == [] and running() == before
    assert await code_of(client, "GET") == 404
    assert await code_of(client, "DELETE") == 204, "its notebook may shut it down"
    assert await listed(client) == []


@pytest.mark.parametrize("step", [STARTING, STOPPING, WARM])
async def test_one_that_never_had_a_process_leaves_nothing(gateways: Gateways, step: str) -> None:
    gateways.gone(step=step)
    client = await gateways.open()
    await settled(client)
    assert gateways.files() == [] and await code_of(client, "GET") == 404


async def test_one_that_left_no_files_leaves_no_record(gateways: Gateways) -> None:
    gateways.write(gateways.of())
    client = await gateways.open()
    assert gateways.files() == [] and await code_of(client, "DELETE") == 204


@pytest.mark.parametrize("wrong", [0, -1000, 1000])
@pytest.mark.parametrize("step", [STARTING, RUNNING, STOPPING, WARM])
async def test_whoever_has_its_pid_now_is_not_touched(gateways: Gateways, step: str, wrong: int) -> None:
    stranger = await gateways.run("sleep", "60")
    began = started_at(stranger.pid)
    assert began is not None
    gateways.gone(step=step, pid=stranger.pid, pgid=stranger.pid, started=began + wrong, launches=1)
    client = await gateways.open()
    await settled(client)
    assert runs(stranger.pid)
    assert gateways.files() == [] and await code_of(client, "GET") == 404 and await code_of(client, "DELETE") == 204
    assert runs(stranger.pid)


@pytest.mark.parametrize(("wrong", "is_it"), [(0, True), (-1000, False), (1000, False)])
async def test_where_no_environment_can_be_read_its_age_tells_who_it_is(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch, wrong: int, is_it: bool
) -> None:
    monkeypatch.setattr(adoption, "environment_of", lambda pid: None)
    monkeypatch.setattr(adoption, "find", lambda *arguments: [])
    monkeypatch.setattr(supplies, "find_of", lambda *arguments: [])
    process = await gateways.mute()
    began = started_at(process.pid)
    assert began is not None
    gateways.rewrite(ID, started=began + wrong)
    client = await gateways.open()
    assert runs(process.pid) and await listed(client) == [ID] * is_it
    assert await code_of(client, "DELETE") == 204 and runs(process.pid) != is_it


def _by_group(processes: list[psutil.Process]) -> dict[int, psutil.Process]:
    return {os.getpgid(process.pid): process for process in processes}


async def test_what_outlived_it_in_its_group_or_elsewhere_is_ended(gateways: Gateways) -> None:
    spawn = "import subprocess as s; s.Popen(['sleep', '60']); s.Popen(['sleep', '60'], start_new_session=True)"
    process = await gateways.mute(ID, sys.executable, "-S", "-c", f"{spawn}; import time; time.sleep(60)")
    # The second leaves a moment after it is there.
    await until(lambda: len(_by_group(process.children())) == 2, "its children")
    groups = _by_group(process.children())
    gateways.processes += groups.values()
    inside, [outside] = groups.pop(process.pid).pid, [child.pid for child in groups.values()]
    process.kill()
    await until(lambda: not runs(process.pid), "its death")
    await gateways.open()
    assert not runs(inside) and not runs(outside)
    assert gateways.files() == []


# What the last gateway was about to do is done.


@pytest.mark.parametrize("step", [STARTING, STOPPING, WARM])
@pytest.mark.parametrize("is_known", [True, False])
async def test_what_nobody_knows_yet_or_wants_any_more_is_ended(gateways: Gateways, step: str, is_known: bool) -> None:
    """Also when the gateway died before it wrote down the process."""
    unknown = {} if is_known else {"pid": None, "pgid": None, "started": None}
    before, process = running(), await gateways.mute(step=step, **unknown)
    client = await gateways.open()
    await settled(client)
    assert not runs(process.pid) and gateways.files() == []
    assert await code_of(client, "GET") == 404 and await code_of(client, "DELETE") == 204
    assert running() == before


async def test_one_that_can_not_be_seen_at_first_is_ended_too(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a moment of its start a process has no environment."""
    process, looks, real = await gateways.mute(step=STARTING, pid=None, pgid=None, started=None), [], adoption.find

    def look(*arguments: Any) -> Any:
        looks.append(arguments)
        return real(*arguments) if len(looks) > 1 else []

    monkeypatch.setattr(adoption, "find", look)
    client = await gateways.open()
    await settled(client)
    assert not runs(process.pid) and gateways.files() == []


@pytest.mark.parametrize("has_process", ["one", "an unknown one", "none"])
async def test_a_restart_comes_to_its_end(gateways: Gateways, has_process: str) -> None:
    process = None
    if has_process == "none":
        gateways.gone(step=RESTARTING, launches=1, info={"status": "ok"})
    else:
        unknown = {"pid": None, "pgid": None, "started": None} if "unknown" in has_process else {}
        process = await gateways.mute(step=RESTARTING, info={"status": "ok"}, **unknown)
    ports = json.loads(gateways.connection_file().read_text())
    client = await gateways.open()
    assert await listed(client) == [ID]
    await settled(client)
    await asyncio.wait_for(kernel_of(client).answered(), 30)
    assert process is None or not runs(process.pid)
    assert await client.run(ID, "print('here')") == "here\n"
    record, kernel = gateways.record(), kernel_of(client)
    assert (record.step, record.pid, record.launches) == (RUNNING, kernel.pid, 2)
    assert kernel.ports == [ports[name] for name in port_names], "its notebooks go on"


@pytest.mark.parametrize("info", [None, {"status": "ok"}])
async def test_a_restart_that_takes_long_is_no_death(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch, info: dict[str, Any] | None
) -> None:
    """A spark-env.sh or a queue may take seconds."""
    gateways.timing = replace(gateways.timing, start_poll=0.02)
    go, waiting, real = asyncio.Event(), asyncio.Event(), Supplies.plan

    async def slow(*args: Any) -> Any:
        waiting.set()
        await go.wait()
        return await real(*args)

    monkeypatch.setattr(Supplies, "plan", slow)
    gateways.gone(step=RESTARTING, launches=1, info=info)
    client = await gateways.open()
    states: list[str] = []
    kernel_of(client).observe(lambda change: states.append(change["new"]), "execution_state")
    try:
        await asyncio.wait_for(waiting.wait(), 30)
        states.extend(await states_meanwhile(client))
    finally:
        go.set()
    await settled(client)
    await asyncio.wait_for(kernel_of(client).answered(), 30)
    assert "dead" not in states and kernel_of(client).reason == ""


async def test_a_restart_that_fails_again_says_so(gateways: Gateways, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: Any) -> None:
        raise OSError("no luck")

    monkeypatch.setattr(Supplies, "plan", fail)
    gateways.gone(step=RESTARTING, launches=1, info={"status": "ok"})
    client = await gateways.open()
    await settled(client)
    model = await json_of(client, f"/api/kernels/{ID}")
    assert model["execution_state"] == "dead" and "no luck" in model["reason"]
    assert await code_of(client, "DELETE") == 204 and gateways.files() == []


# Without a record.


async def test_one_that_has_no_record_is_ended(gateways: Gateways, caplog: Any) -> None:
    gateways.path.mkdir()
    gateways.write_connection_file(beside=True)
    process = await gateways.run(*MUTE, str(gateways.connection_file()), env=gateways.marked())
    client = await gateways.open()
    assert not runs(process.pid) and gateways.files() == []
    assert await listed(client) == [] and await code_of(client, "DELETE") == 204
    assert f"Kernel {ID} has no record" in caplog.text


async def test_what_is_no_kernel_of_this_directory_is_not_touched(gateways: Gateways) -> None:
    gateways.path.mkdir()
    gateways.write_connection_file()
    file = str(gateways.connection_file())
    strangers = [
        await gateways.run(*MUTE, file, env=gateways.marked() | {MARK: f"{gateways.path}-2"}),
        await gateways.run(*MUTE, file, env={"KERNEL_ID": ID}),
        await gateways.run(*MUTE, file, env={MARK: str(gateways.path)}),
    ]
    left = gateways.files()
    await gateways.open()
    assert all(runs(stranger.pid) for stranger in strangers)
    assert gateways.files() == left


async def test_what_a_kernel_without_a_record_left_is_ended(gateways: Gateways) -> None:
    gateways.path.mkdir()
    left = await gateways.run("sleep", "60", env=gateways.marked())
    await gateways.open()
    assert not runs(left.pid)


@pytest.mark.parametrize("harm", ["corrupt", "0644"])
async def test_one_whose_record_is_of_no_use_goes_on(gateways: Gateways, harm: str) -> None:
    kernel_id, pid = await answering(gateways, env={"KERNEL_USERNAME": "anna"})
    path = gateways.path / f"{kernel_id}.json"
    path.write_text("{]") if harm == "corrupt" else path.chmod(0o644)
    client = await gateways.open()
    assert await listed(client) == [kernel_id]
    row = await row_of(client, kernel_id)
    assert (row["pid"], row["user"], row["name"]) == (pid, "anna", "python3")
    assert await client.run(kernel_id, "print(x)") == "41\n"
    await idle(client, kernel_id)
    assert gateways.record(kernel_id).pid == pid and path.with_name(path.name + ASIDE).exists()
    assert await code_of(client, "DELETE", kernel_id) == 204 and not runs(pid)
    assert gateways.files() == [path.name + ASIDE]


async def toree_that_lost_its_record(gateways: Gateways, name: str) -> tuple[str, int]:
    """Id and process of a Toree that runs, whose gateway died."""
    gateways.spark.defaults(HANGS)
    first = await gateways.open()
    kernel_id = await first.start(name=name)
    pid = (await gateways.spark.launched(kernel_id))["pid"]
    await gateways.kill(first)
    (gateways.path / f"{kernel_id}.json").write_text("{]")
    return kernel_id, pid


async def test_a_toree_whose_record_is_of_no_use_goes_on(gateways: Gateways) -> None:
    kernel_id, pid = await toree_that_lost_its_record(gateways, "apache_toree_sql")
    second = await gateways.open()
    kernel = kernel_of(second, kernel_id)
    assert (kernel.pid, kernel.kind.is_sql, kernel.kernel_name) == (pid, True, "apache_toree_sql")
    assert gateways.record(kernel_id).interpreter == "SQL"


async def test_one_that_can_not_go_on_without_its_record_is_ended_and_the_others_go_on(gateways: Gateways) -> None:
    """Its configuration is broken by now, so that nobody knows what cores it has."""
    kernel_id, pid = await toree_that_lost_its_record(gateways, "apache_toree_scala")
    await gateways.mute(OTHER)
    second = await gateways.serve()
    gateways.spark.defaults(HANGS, "spark.master.ui.port lots", master="spark://127.0.0.1:7077")
    assert (await second.ask("GET", "/api/kernels")).code == 200
    assert await listed(second) == [OTHER]
    assert not runs(pid) and gateways.connection_file(kernel_id).name not in gateways.files()


async def test_one_that_died_and_lost_its_record_leaves_no_files(gateways: Gateways) -> None:
    gateways.gone()
    (gateways.path / f"{ID}.json").write_text("{]")
    client = await gateways.open()
    file = gateways.connection_file()
    assert not file.exists() and not file.with_suffix(".properties").exists()
    assert await code_of(client, "DELETE") == 204


@pytest.mark.parametrize("harm", ["missing", "corrupt", "gone spec"])
async def test_one_that_lost_its_record_and_more_is_ended(gateways: Gateways, harm: str) -> None:
    process, file = await gateways.mute(), gateways.connection_file()
    (gateways.path / f"{ID}.json").write_text("")
    if harm == "missing":
        file.unlink()
    elif harm == "corrupt":
        file.write_text("{")
    else:
        file.write_text(json.dumps(json.loads(file.read_text()) | {"kernel_name": "no-more"}))
    client = await gateways.open()
    assert await listed(client) == [] and not runs(process.pid)
    assert gateways.files() == [f"{ID}.json{ASIDE}"]


# Connection files of no use.


def _without_ports(info: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in info.items() if not name.endswith("_port")})


BROKEN: dict[str, Callable[[dict[str, Any]], str]] = {
    "empty": lambda info: "",
    "truncated": lambda info: json.dumps(info)[:-20],
    "zeros": lambda info: "\0" * 300,
    "no object": lambda info: "[]",
    "a number": lambda info: "5",
    "null": lambda info: "null",
    "no ports": _without_ports,
    "a port in words": lambda info: json.dumps(info | {"shell_port": "many"}),
    "a port out of range": lambda info: json.dumps(info | {"shell_port": 70000}),
    "no key": lambda info: json.dumps(info | {"key": None}),
}


@pytest.mark.parametrize("harm", ["missing", "a directory", *BROKEN])
async def test_one_that_nobody_can_reach_any_more_is_ended(gateways: Gateways, harm: str, caplog: Any) -> None:
    process, file, before = await gateways.mute(), gateways.connection_file(), running()
    await gateways.mute(OTHER)
    info = json.loads(file.read_text())
    file.unlink()
    if harm == "a directory":
        file.mkdir()
    elif harm != "missing":
        file.write_text(BROKEN[harm](info))
    client = await gateways.open()
    await settled(client)
    assert await listed(client) == [OTHER], "the others go on"
    assert not runs(process.pid) and not (gateways.path / f"{ID}.json").exists()
    assert harm == "a directory" or [name for name in gateways.files() if ID in name] == []
    assert await code_of(client, "GET") == 404 and await code_of(client, "DELETE") == 204
    assert running() == before + 1
    assert f"Kernel {ID} can't be taken over" in caplog.text


# Records of nonsense.


@pytest.mark.parametrize(
    "changes",
    [
        {"since": "yesterday"},
        {"sessions": [5]},
        {"sessions": [{}]},
        {"started": 10**400},
        {"started": float("nan")},
        {"ports": ["a", "b", "c", "d", "e"], "interpreter": "Scala", "kernel_name": "apache_toree_scala"},
        {"ports": [1, 2], "interpreter": "Scala", "kernel_name": "apache_toree_scala"},
        {"env": {"KERNEL_USERNAME": 5}},
        {"connection_file": ""},
        {"connection_file": "a\0b"},
        {"kernel_name": ""},
        {"pid": -1},
        {"pid": 0, "pgid": 0},
        {"cwd": "/no/such/directory"},
        {"launches": -5},
        {"info": {}},
    ],
    ids=lambda changes: ",".join(f"{name} {str(value)[:20]!r}" for name, value in changes.items()),
)
async def test_nonsense_in_a_record_harms_nobody_else_and_leaves_nothing_behind(
    gateways: Gateways, changes: dict[str, Any]
) -> None:
    """The kernel goes on or is ended, and whoever asks gets an answer."""
    process = await gateways.mute(**changes)
    other = await gateways.mute(OTHER)
    client = await gateways.serve()
    ids = await listed(client)
    await settled(client)
    for path in ("/api/kernels", "/api/sessions", "/kg2at/status"):
        assert (await client.ask("GET", path)).code == 200, path
    assert OTHER in ids and runs(other.pid)
    assert (ID in ids) == runs(process.pid), "it runs and nobody can end it, or is listed and does not run"
    assert await code_of(client, "DELETE") == 204 and not runs(process.pid)
    assert [name for name in os.listdir(gateways.path) if ID in name and ASIDE not in name] == []


# What can't be ended.


async def test_one_that_may_not_be_signalled_is_a_zombie_until_it_may(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateways.timing = replace(gateways.timing, zombie_retry=0.05)
    process = await gateways.mute()
    gateways.connection_file().unlink()

    def refuse(*args: Any) -> None:
        raise PermissionError(139, "EDC5139I Operation not permitted.")

    with monkeypatch.context() as patch:
        patch.setattr(os, "killpg", refuse)
        client = await gateways.open()
        [zombie] = (await json_of(client, "/kg2at/status"))["zombies"]
        assert (zombie["kernel_id"], zombie["pid"]) == (ID, process.pid)
        assert (gateways.path / f"{ID}.json").exists(), "the next gateway knows of it too"
        assert runs(process.pid)
    assert os.killpg is KILLPG
    await until(lambda: not runs(process.pid) and gateways.files() == [], "its end at last")


# A directory that is new.


async def test_a_new_directory_has_nothing_in_it(gateways: Gateways) -> None:
    client = await gateways.open()
    assert await listed(client) == [] and os.listdir(gateways.path) == [LOCK]
    await client.app.personality.shutdown()
    assert not gateways.path.exists()


async def test_what_is_set_aside_stays_for_its_administrator(gateways: Gateways) -> None:
    gateways.path.mkdir()
    (gateways.path / f"{ID}.json").write_text("{]")
    client = await gateways.open()
    await client.app.personality.shutdown()
    assert gateways.files() == [f"{ID}.json{ASIDE}"]
    shutil.rmtree(gateways.path)
