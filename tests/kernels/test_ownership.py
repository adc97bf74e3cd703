"""Whose a kernel is, at each moment of its life: to another user it never was, to its owner it is what it is."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from kg2at_personality.kernels.manager import GatewayKernelManager
from kg2at_personality.kernels.timing import Timing
from tests.fakes.app import Client
from tests.fakes.gateways import Gateways, kernel_of, settled
from tests.fakes.held_calls import HeldCalls
from tests.fakes.identity import ALICE, BOB, ROOT, NamedTokens, with_users
from tests.fakes.master import FakeMaster
from tests.fakes.master_server import MasterServer
from tests.fakes.processes import kill
from tests.fakes.toree import QUICK, FakeSpark
from tests.fakes.wait import until
from tests.fakes.warm_kind import WarmKind
from tests.kernels.warm_scene import EAGER, NAME, filled_once

pytestmark = pytest.mark.gen_test(timeout=60)
ID, NEVER = "11111111-1111-4111-8111-111111111111", "99999999-9999-4999-8999-999999999999"
REQUESTS = [("GET", ""), ("DELETE", ""), ("POST", "/restart"), ("POST", "/interrupt"), ("GET", "/channels")]
#: What a client may say: it is not what holds.
LIE = {"KERNEL_USERNAME": "root"}


@pytest.fixture
def settings() -> Any:
    return with_users(**QUICK)


async def post(client: Client, who: dict[str, str], name: str = NAME, **body: Any) -> Any:
    return await client.ask("POST", "/api/kernels", {"name": name} | body, **who)


async def get(client: Client, path: str, who: dict[str, str]) -> Any:
    return json.loads((await client.ask("GET", path, **who)).body)


async def started(client: Client, who: dict[str, str], name: str = "python3", **body: Any) -> str:
    answer = await post(client, who, name, **body)
    assert answer.code == 201, answer.body
    kernel_id = str(json.loads(answer.body)["id"])
    await kernel_of(client, kernel_id).answered()
    return kernel_id


async def session_of(client: Client, who: dict[str, str], path: str = "a.ipynb", **kernel: str) -> Any:
    body = {"path": path, "type": "notebook", "kernel": kernel or {"name": "python3"}}
    return await client.ask("POST", "/api/sessions", body, **who)


def said(answer: Any, kernel_id: str) -> tuple[int, str, str]:
    """What an answer says, but for the id that was asked for."""
    return answer.code, answer.reason, answer.body.decode().replace(kernel_id, "ID")


async def check_hidden(client: Client, kernel_id: str, who: dict[str, str] = BOB) -> None:
    """To this user the kernel never was: by each route, and in each list."""
    for method, action in REQUESTS:
        answers = [
            said(await client.ask(method, f"/api/kernels/{each}{action}", **who), each) for each in (kernel_id, NEVER)
        ]
        assert answers[0] == answers[1] and answers[0][0] == 404, (method, action)
    attached = [said(await session_of(client, who, id=each), each) for each in (kernel_id, NEVER)]
    assert attached[0] == attached[1] and attached[0][0] == 404
    for path in ("/api/kernels", "/api/sessions", "/kg2at/status"):
        body = await get(client, path, who)
        if path == "/kg2at/status":
            # What they were told of an id that they have sent themselves.
            assert "alice" not in str(body.pop("failures"))
        assert kernel_id not in str(body) and "alice" not in str(body), path


async def row(client: Client, kernel_id: str, who: dict[str, str] = ALICE, part: str = "kernels") -> dict[str, Any]:
    [found] = [each for each in (await get(client, "/kg2at/status", who))[part] if each["kernel_id"] == kernel_id]
    return dict(found)


async def name_in(client: Client, kernel_id: str) -> str:
    return str(await client.run(kernel_id, "import os; print(os.environ.get('KERNEL_USERNAME'), end='')"))


class TestItsLife:
    async def test_while_it_is_planned_and_launched(self, gateway: Any, plans: HeldCalls, launches: HeldCalls) -> None:
        for held in (plans, launches):
            held.hold()
            start = asyncio.ensure_future(post(gateway, ALICE, kernel_id=ID, env=LIE))
            await held.reached()
            await check_hidden(gateway, ID)
            assert (await post(gateway, BOB, kernel_id=ID)).code == 409
            assert gateway.app.kernel_manager.owner_of(ID) == "alice"
            stop = asyncio.ensure_future(gateway.ask("DELETE", f"/api/kernels/{ID}", **ALICE))
            await check_hidden(gateway, ID)
            held.release()
            assert (await stop).code == 204 and (await start).code == 409
            assert (await gateway.ask("DELETE", f"/api/kernels/{ID}", **ALICE)).code == 204
            await check_hidden(gateway, ID)

    async def test_its_owner_is_known_at_each_turn_of_its_end(self, gateway: Any, plans: HeldCalls) -> None:
        """Also in the one between the end of its start and that of its stop."""
        manager: GatewayKernelManager = gateway.app.kernel_manager
        plans.hold()
        start = asyncio.ensure_future(post(gateway, ALICE, kernel_id=ID))
        await plans.reached()
        stop, owners = asyncio.ensure_future(manager.shutdown_kernel(ID)), set()
        plans.release()
        while not stop.done():
            owners.add(manager.owner_of(ID))
            await asyncio.sleep(0)
        assert owners == {"alice"} and manager.owner_of(ID) == "alice"
        await start

    async def test_while_it_runs_is_dead_restarts_and_has_ended(self, gateway: Any) -> None:
        kernel_id = await started(gateway, ALICE, env=LIE)
        kernel = kernel_of(gateway, kernel_id)
        await check_hidden(gateway, kernel_id)
        assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", **ALICE)).code == 200
        await kernel.answered()
        assert (kernel.owner, await name_in(gateway, kernel_id)) == ("alice", "alice")
        async with kernel.lifecycle:  # which the restart waits for
            restart = asyncio.ensure_future(gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", **ALICE))
            await check_hidden(gateway, kernel_id)
        assert (await restart).code == 200
        await kernel.answered()
        kernel.stop_restarter()
        kill(kernel.pid)
        await kernel.mark_dead("for a test")
        await check_hidden(gateway, kernel_id)
        assert (await row(gateway, kernel_id))["state"].startswith("dead")
        async with kernel.lifecycle:
            stop = asyncio.ensure_future(gateway.ask("DELETE", f"/api/kernels/{kernel_id}", **ALICE))
            await until(lambda: kernel_id in gateway.app.kernel_manager.stops, "its stop")
            await check_hidden(gateway, kernel_id)
        assert (await stop).code == 204
        await check_hidden(gateway, kernel_id)
        assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}", **ALICE)).code == 204
        assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}", **ROOT)).code == 204

    async def test_one_that_died_is_restarted_for_its_owner(self, gateway: Any) -> None:
        kernel_id = await started(gateway, ALICE, env=LIE)
        kernel = kernel_of(gateway, kernel_id)
        await until(lambda: kernel.execution_state == "idle", "idle")
        pid = kernel.pid
        kill(pid)
        await until(lambda: kernel.pid not in (None, pid) and kernel.has_answered, "its next process")
        assert (kernel.owner, await name_in(gateway, kernel_id)) == ("alice", "alice")
        await check_hidden(gateway, kernel_id)

    async def test_who_culled_it_is_told_to_its_owner_alone(self, gateway: Any) -> None:
        kernel_id, manager = await started(gateway, ALICE), gateway.app.kernel_manager
        kernel = kernel_of(gateway, kernel_id)
        await until(lambda: kernel.execution_state == "idle", "idle")
        kernel.activity_stream.stop_on_recv()
        kernel.last_activity = datetime.now(timezone.utc) - timedelta(hours=2)
        manager.cull_idle_timeout = 3600
        await manager.cull_kernels()
        assert kernel_id not in manager
        await check_hidden(gateway, kernel_id)
        for who in (ALICE, ROOT):
            answer = await gateway.ask("GET", f"/api/kernels/{kernel_id}", **who)
            assert answer.code == 404 and "cull_idle_timeout" in json.loads(answer.body)["message"]
        assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}", **ALICE)).code == 204

    async def test_a_zombie(self, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: Any) -> None:
            raise PermissionError(139, "EDC5139I Operation not permitted.")

        gateway.app.kernel_manager.timing = Timing(zombie_retry=0.05)
        kernel_id = await started(gateway, ALICE)
        kernel = kernel_of(gateway, kernel_id)
        kernel.shutdown_wait_time = 0.2
        kill(kernel.pid, signal.SIGSTOP)
        with monkeypatch.context() as patch:
            for name in ("os.killpg", *(f"subprocess.Popen.{each}" for each in ("send_signal", "kill", "terminate"))):
                patch.setattr(name, refuse)
            assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}", **ALICE)).code == 204
            await check_hidden(gateway, kernel_id)
            assert (await row(gateway, kernel_id, ALICE, "zombies"))["pid"] == kernel.pid
            assert (await row(gateway, kernel_id, ROOT, "zombies"))["pid"] == kernel.pid
        await gateway.app.kernel_manager.zombies._task

    async def test_the_id_of_anothers_is_taken(self, gateway: Any) -> None:
        kernel_id = await started(gateway, ALICE)
        for _ in ("while it runs", "when it has ended"):
            answer = await post(gateway, BOB, "python3", kernel_id=kernel_id)
            assert answer.code == 409 and "alice" not in answer.body.decode()
            await gateway.ask("DELETE", f"/api/kernels/{kernel_id}", **ALICE)
        assert await started(gateway, ALICE, kernel_id=kernel_id) == kernel_id
        await check_hidden(gateway, kernel_id)


class TestItsName:
    @pytest.mark.parametrize("body", [{}, {"env": {}}, {"env": LIE}])
    async def test_in_the_kernel_and_the_status(self, gateway: Any, body: Any) -> None:
        kernel_id = await started(gateway, ALICE, **body)
        assert await name_in(gateway, kernel_id) == "alice"
        assert (await row(gateway, kernel_id))["user"] == "alice"

    @pytest.mark.parametrize("body", [{}, {"env": LIE}])
    async def test_at_the_master(self, gateway: Any, spark: FakeSpark, body: Any) -> None:
        kernel_id = await started(gateway, ALICE, NAME, **body)
        launch = await spark.launched(kernel_id)
        assert launch["env"]["KERNEL_USERNAME"] == "alice"
        plan = kernel_of(gateway, kernel_id).plan
        assert plan is not None and plan.owner == "alice"
        assert "root" not in json.dumps(launch["properties"])
        assert launch["properties"]["spark.app.name"].endswith(f"alice {kernel_id}")

    async def test_while_it_waits_for_cores(self, gateway: Any, spark: FakeSpark) -> None:
        master = FakeMaster()
        master.add_worker(2, 16 * 1024)
        async with MasterServer(master) as server:
            spark.defaults(
                f"spark.master.ui.port {server.url.rpartition(':')[2]}",
                "spark.cores.max 2",
                "spark.ui.enabled false",
                master="spark://127.0.0.1:7077",
            )
            first = await started(gateway, ALICE, NAME, env=LIE)
            start = asyncio.ensure_future(post(gateway, ALICE, kernel_id=ID, env=LIE))
            clusters = gateway.app.kernel_manager.clusters
            await until(lambda: any(each["queue"] for each in clusters.status()), "its place in the queue")
            assert (await row(gateway, ID, ALICE, "queue"))["user"] == "alice"
            assert [each["user"] for each in (await get(gateway, "/kg2at/status", ROOT))["queue"]] == ["alice"]
            assert (await get(gateway, "/kg2at/status", BOB))["queue"] == []
            for kernel_id in (first, ID):
                await check_hidden(gateway, kernel_id)
            [queue] = [queue for queue, _ in clusters._queues.values()]
            assert {lease.user for lease in queue._leases.held} == {"alice"}
            assert (await gateway.ask("DELETE", f"/api/kernels/{ID}", **ALICE)).code == 204
            assert (await start).code == 409
            assert (await gateway.ask("DELETE", f"/api/kernels/{first}", **ALICE)).code == 204


class TestTheOneToken:
    @pytest.fixture
    def settings(self) -> Any:
        return QUICK

    async def test_its_clients_say_who_they_are(self, gateway: Any, spark: FakeSpark) -> None:
        kernel_id = await started(gateway, {}, NAME, env={"KERNEL_USERNAME": "ann"})
        launch = await spark.launched(kernel_id)
        assert launch["env"]["KERNEL_USERNAME"] == "ann" and (await row(gateway, kernel_id, {}))["user"] == "ann"
        assert "ann" not in launch["properties"]["spark.app.name"]
        assert kernel_of(gateway, kernel_id).owner == ""


class TestOneThatWaited:
    @pytest.fixture
    def settings(self) -> Any:
        warm = {"warm_kernels": {NAME: 1}, "warm_memory_reserve": 0}
        return with_users(NamedTokens, **QUICK | {"KG2ATPersonality": warm | {"admin_users": ["root"]}})

    @pytest.mark.parametrize("body", [{}, {"env": LIE}])
    async def test_it_becomes_its_users(self, gateway: Any, spark: FakeSpark, kind: WarmKind, body: Any) -> None:
        manager = gateway.app.kernel_manager
        manager.timing = EAGER
        [waiting] = await filled_once(manager)
        for who in (ALICE, BOB):
            await check_hidden(gateway, waiting, who)
        assert (await get(gateway, "/kg2at/status", ROOT))["warm"]["kernels"][0]["kernel_id"] == waiting
        answer = json.loads((await post(gateway, ALICE, **body)).body)
        assert (answer["id"], answer["warm"]) == (waiting, True)
        taken = spark.taken(waiting)
        assert taken is not None and taken["env"]["KERNEL_USERNAME"] == "alice"
        kernel = kernel_of(gateway, waiting)
        assert (kernel.owner, kernel.user) == ("alice", "alice")
        await check_hidden(gateway, waiting)

    async def test_why_one_did_not_fit_is_told_to_no_other_user(self, gateway: Any) -> None:
        await started(gateway, ALICE, NAME)
        assert (await get(gateway, "/kg2at/status", ROOT))["warm"]["missed"] != {}
        assert (await get(gateway, "/kg2at/status", BOB))["warm"]["missed"] == {}


class TestSessions:
    async def test_the_same_notebook_of_two_users_is_two(self, gateway: Any) -> None:
        asked = [session_of(gateway, who) for who in (ALICE, BOB, ALICE, BOB, ROOT)]
        made = [json.loads(answer.body) for answer in await asyncio.gather(*asked)]
        assert made[0]["id"] == made[2]["id"] and made[1]["id"] == made[3]["id"]
        assert len({each["kernel"]["id"] for each in made}) == 3
        owners = [kernel_of(gateway, each["kernel"]["id"]).owner for each in made]
        assert owners == ["alice", "bob", "alice", "bob", "root"]
        for who, own in ((ALICE, made[0]), (BOB, made[1])):
            assert [each["id"] for each in await get(gateway, "/api/sessions", who)] == [own["id"]]
        assert len(await get(gateway, "/api/sessions", ROOT)) == 3
        assert json.loads((await session_of(gateway, ROOT)).body)["id"] == made[4]["id"]

    async def test_anothers_kernel_is_none_for_them(self, gateway: Any) -> None:
        theirs = await started(gateway, ALICE)
        own = json.loads((await session_of(gateway, BOB)).body)
        path = f"/api/sessions/{own['id']}"
        answers = [said(await gateway.ask("PATCH", path, {"kernel": {"id": id}}, **BOB), id) for id in (theirs, NEVER)]
        assert answers[0] == answers[1] and answers[0][0] == 400
        answers = [said(await session_of(gateway, BOB, "b.ipynb", id=id), id) for id in (theirs, NEVER)]
        assert answers[0] == answers[1] and answers[0][0] == 404
        assert (await get(gateway, path, BOB))["kernel"]["id"] == own["kernel"]["id"]

    async def test_one_that_has_ended_is_its_owners(self, gateway: Any) -> None:
        session = json.loads((await session_of(gateway, ALICE)).body)
        path = f"/api/sessions/{session['id']}"
        assert (await gateway.ask("DELETE", path, **ALICE)).code == 204
        for method in ("GET", "DELETE", "PATCH"):
            answers = [
                said(await gateway.ask(method, f"/api/sessions/{id}", **BOB), id) for id in (session["id"], NEVER)
            ]
            assert answers[0] == answers[1] and answers[0][0] == 404
        assert (await gateway.ask("DELETE", path, **ALICE)).code == 204

    async def test_an_administrators_session_of_anothers_kernel_is_the_administrators(self, gateway: Any) -> None:
        kernel_id = await started(gateway, ALICE)
        made = [json.loads((await session_of(gateway, ROOT, "audit.ipynb", id=kernel_id)).body) for _ in range(2)]
        assert made[0]["id"] == made[1]["id"]
        assert await get(gateway, "/api/sessions", ALICE) == []
        assert (await gateway.ask("GET", f"/api/sessions/{made[0]['id']}", **ALICE)).code == 404

    async def test_one_that_an_administrator_gave_another_kernel_shows_nothing_of_that(self, gateway: Any) -> None:
        session = json.loads((await session_of(gateway, ALICE)).body)
        path, kernel_id = f"/api/sessions/{session['id']}", await started(gateway, ROOT)
        assert (await gateway.ask("PATCH", path, {"kernel": {"id": kernel_id}}, **ROOT)).code == 200
        await check_hidden(gateway, kernel_id, BOB)
        assert kernel_id not in (await gateway.ask("GET", "/api/sessions", **ALICE)).body.decode()
        assert (await gateway.ask("DELETE", path, **ALICE)).code == 404
        assert kernel_id in gateway.app.kernel_manager


class TestTheNextGateway:
    @pytest.fixture
    def users(self) -> Any:
        return with_users(NamedTokens)

    async def test_it_goes_on_for_its_owner(self, gateways: Gateways, users: Any) -> None:
        first = await gateways.open(**users)
        session = json.loads((await session_of(first, ALICE)).body)
        kernel_id = session["kernel"]["id"]
        await first.run(kernel_id, "1")
        await until(lambda: gateways.record(kernel_id).info, "its answer in its record")
        assert gateways.record(kernel_id).owner == "alice"
        await gateways.kill(first)
        second = await gateways.open(**users)
        await check_hidden(second, kernel_id)
        assert (await second.ask("GET", f"/api/sessions/{session['id']}", **BOB)).code == 404
        assert [each["id"] for each in await get(second, "/api/sessions", ALICE)] == [session["id"]]
        assert (await row(second, kernel_id))["user"] == "alice"
        assert (await second.ask("POST", f"/api/kernels/{kernel_id}/restart", **ALICE)).code == 200
        await kernel_of(second, kernel_id).answered()
        assert await name_in(second, kernel_id) == "alice"

    async def test_one_whose_record_is_broken_is_the_administrators(self, gateways: Gateways, users: Any) -> None:
        first = await gateways.open(**users)
        kernel_id = await started(first, ALICE)
        await first.run(kernel_id, "1")
        await until(lambda: gateways.record(kernel_id).info, "its answer in its record")
        await gateways.kill(first)
        (gateways.path / f"{kernel_id}.json").write_text("{")
        second = await gateways.open(**users)
        for who in (ALICE, BOB):
            await check_hidden(second, kernel_id, who)
        assert (await second.ask("GET", f"/api/kernels/{kernel_id}", **ROOT)).code == 200

    async def test_one_that_has_died_meanwhile_is_still_its_owners(self, gateways: Gateways, users: Any) -> None:
        gateways.gone(owner="alice")
        client = await gateways.open(**users)
        await settled(client)
        assert (await client.ask("DELETE", f"/api/kernels/{ID}", **ALICE)).code == 204
        await check_hidden(client, ID)

    async def test_an_administrator_may_be_left_with_all(self, gateways: Gateways, users: Any) -> None:
        """The next gateway has one token: whoever has it sees what users with names have left."""
        first = await gateways.open(**users)
        kernel_id = await started(first, ALICE)
        await first.run(kernel_id, "1")
        await until(lambda: gateways.record(kernel_id).info, "its answer in its record")
        await gateways.kill(first)
        second = await gateways.open()
        assert (await second.ask("GET", f"/api/kernels/{kernel_id}")).code == 200
        assert gateways.record(kernel_id).owner == "alice"
