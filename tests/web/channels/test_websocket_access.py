"""Open websockets of users who are let in no more."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError
from tornado.web import HTTPError
from tornado.websocket import websocket_connect

from kg2at_personality.errors import TooManyKernels
from kg2at_personality.users_file import FileUser, changing, digest_of
from kg2at_personality.web.channels.websocket_access import WebsocketAccess
from kg2at_personality.web.channels.websocket_handler import REFUSED
from tests.fakes.app import Client
from tests.fakes.clock import VirtualLoop
from tests.fakes.notebook import Notebook, connections, opened_by, url
from tests.fakes.toree import QUICK
from tests.fakes.wait import until

ADMIN_TOKEN = "the-token-of-the-gateway-itself"


class FakeWebsocket:
    """Of a user of whom a test says whether they are let in."""

    def __init__(self) -> None:
        self.allowed: bool | Exception = True
        self.looks, self.refusals = 0, 0

    async def is_still_allowed(self) -> bool:
        self.looks += 1
        if isinstance(self.allowed, Exception):
            raise self.allowed
        return self.allowed

    def refuse(self) -> None:
        self.refusals += 1


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.close()


class TestLooks:
    @staticmethod
    def access(interval: float | None = 2) -> tuple[WebsocketAccess, list[FakeWebsocket]]:
        access, websockets = (
            WebsocketAccess(interval, logging.getLogger("tests.access")),
            [FakeWebsocket() for _ in "abc"],
        )
        for each in websockets:
            access.join(each)
        return access, websockets

    def test_who_is_let_in_no_more_is_refused_within_the_interval(self, loop: VirtualLoop) -> None:
        async def look() -> None:
            access, (one, other, third) = self.access()
            await asyncio.sleep(1.9)
            other.allowed = False
            assert other.looks == 0
            await asyncio.sleep(0.2)
            assert (one.refusals, other.refusals, third.refusals) == (0, 1, 0)
            access.close()

        loop.run_until_complete(look())

    def test_while_it_can_t_be_told_all_stay_and_the_log_says_so_once(self, loop: VirtualLoop, caplog: Any) -> None:
        async def look() -> None:
            access, (one, other, third) = self.access()
            one.allowed, other.allowed = ValueError("The Hub is away"), False
            await asyncio.sleep(9)
            assert (one.looks, one.refusals, other.refusals, third.looks) == (4, 0, 4, 4)
            one.allowed = False
            await asyncio.sleep(2)
            assert one.refusals == 1
            access.close()

        loop.run_until_complete(look())
        assert len(caplog.messages) == 1 and "ValueError: The Hub is away" in caplog.text

    def test_there_are_no_looks_without_websockets(self, loop: VirtualLoop) -> None:
        async def look() -> None:
            access, websockets = self.access()
            for each in (*websockets, *websockets):
                access.leave(each)
            assert len(access) == 0
            await asyncio.sleep(5)
            assert len(asyncio.all_tasks()) == 1 and websockets[0].looks == 0
            access.join(websockets[0])
            await asyncio.sleep(2.1)
            assert websockets[0].looks == 1
            access.close()
            access.close()
            await asyncio.sleep(5)
            assert len(asyncio.all_tasks()) == 1 and websockets[0].looks == 1

        loop.run_until_complete(look())

    def test_there_are_none_where_nobody_can_be_asked_again(self, loop: VirtualLoop) -> None:
        async def look() -> None:
            access, _ = self.access(None)
            assert len(access) == 3 and len(asyncio.all_tasks()) == 1

        loop.run_until_complete(look())

    def test_one_that_closes_while_it_is_looked_at_is_not_refused(self, loop: VirtualLoop) -> None:
        async def look() -> None:
            access, (one, *_) = self.access()

            async def leave() -> bool:
                access.leave(one)
                return False

            one.is_still_allowed = leave  # type: ignore[method-assign]
            await asyncio.sleep(3)
            assert one.refusals == 0
            access.close()

        loop.run_until_complete(look())


@pytest.mark.gen_test(timeout=60)
class TestGateway:
    """A real one, and kernels."""

    @pytest.fixture
    def users(self, tmp_path: Path) -> Users:
        made = Users(tmp_path / "users.json")
        for name in ("alice", "bob"):
            made.set(name)
        return made

    @pytest.fixture
    def settings(self, users: Users) -> dict[str, Any]:
        return QUICK | {
            "KG2ATPersonality": {"users_file": str(users.path)},
            "KernelGatewayApp": {"auth_token": ADMIN_TOKEN},
            "TokenFileIdentityProvider": {"recheck_interval": 0.05},
        }

    @pytest.mark.parametrize("token", [None, "another"])
    async def test_it_is_closed_and_its_kernel_stays(self, gateway: Client, users: Users, token: str | None) -> None:
        kernel_id = await started(gateway, "of-alice")
        async with (
            opened(gateway, kernel_id, "of-alice") as alice,
            opened(gateway, kernel_id, ADMIN_TOKEN, "s2") as admin,
        ):
            assert await alice.run("x = 41; print(x)") == "41\n"
            users.set("alice", token)
            await alice.until_closed()
            assert (alice.socket.close_code, alice.socket.close_reason) == (1008, REFUSED)
            await until(lambda: connections(gateway, kernel_id) == 1, "the end of one connection")
            assert opened_by(kernel_id) == []
            with pytest.raises(HTTPClientError, match="401"):
                await connected(gateway, kernel_id, "of-alice")
            assert await admin.run("print(x + 1)") == "42\n"
        if token:
            async with opened(gateway, kernel_id, token) as again:
                assert await again.run("print(x + 2)") == "43\n"
        await until(lambda: len(gateway.app.personality.websocket_access) == 0, "the end of all")

    async def test_what_its_notebook_was_not_sent_waits_for_it(
        self, gateway: Client, users: Users, tmp_path: Path
    ) -> None:
        kernel_id, gate = await started(gateway, "of-alice"), tmp_path / "gate"
        async with opened(gateway, kernel_id, "of-alice") as notebook:
            cell = notebook.execute(f"import os\nwhile not os.path.exists({str(gate)!r}): pass\nprint('all of it')")
            await notebook.until("execute_input", cell)
            users.set("alice", "another")
            await notebook.until_closed()
        gate.touch()
        async with opened(gateway, kernel_id, "another") as again:
            said = await again.until("idle", cell)
        assert "all of it\n" in [each["content"].get("text") for each in said]

    async def test_it_stays_open_while_the_file_is_broken(self, gateway: Client, users: Users) -> None:
        kernel_id = await started(gateway, "of-alice")
        access = gateway.app.personality.websocket_access
        async with opened(gateway, kernel_id, "of-alice") as notebook:
            good = users.damage()
            await until(lambda: access._problem, "a look in vain")
            assert await notebook.run("print(6 * 7)") == "42\n"
            users.mend(good)
            await until(lambda: not access._problem, "a look")
            assert await notebook.run("print(6 * 7)") == "42\n"
            users.set("alice", None)
            await notebook.until_closed()

    @pytest.mark.parametrize("refusal", [HTTPError(401), HTTPError(403), TooManyKernels("Not you.")], ids=repr)
    async def test_a_provider_may_refuse_by_an_error(
        self, gateway: Client, monkeypatch: Any, refusal: Exception
    ) -> None:
        """As where a token has lost its scope; its user is known."""
        kernel_id = await started(gateway, "of-alice")
        async with opened(gateway, kernel_id, "of-alice") as notebook:

            async def refuse(token: str) -> None:
                raise refusal

            monkeypatch.setattr(gateway.app.identity_provider, "user_of", refuse)
            await notebook.until_closed()
            assert notebook.socket.close_code == 1008

    async def test_an_administrator_no_more_loses_those_of_others(self, gateway: Client, users: Users) -> None:
        users.set("alice", admin=True)
        own, other = await started(gateway, "of-alice"), await started(gateway, "of-bob")
        async with opened(gateway, own, "of-alice") as kept, opened(gateway, other, "of-alice", "s2") as lost:
            assert await lost.run("print(1)") == "1\n"
            users.set("alice", admin=False)
            await lost.until_closed()
            assert lost.socket.close_code == 1008
            assert await kept.run("print(2)") == "2\n"

    async def test_what_its_client_says_then_is_not_heard(self, gateway: Client, tmp_path: Path) -> None:
        """It may have been under way, or the client may not close its side of the websocket."""
        kernel_id, path = await started(gateway, "of-alice"), tmp_path / "written"
        async with opened(gateway, kernel_id, "of-alice") as notebook:
            assert await notebook.run("print(1)") == "1\n"
            [connection] = opened_by(kernel_id)
            notebook.execute(f"open({str(path)!r}, 'w')")
            connection.websocket_handler.refuse()
            await notebook.until_closed()
        assert await gateway.run(kernel_id, "print(2)") == "2\n"
        assert not path.exists()

    async def test_the_gateway_ends_while_they_are_looked_at(self, gateway: Client) -> None:
        kernel_id = await started(gateway, "of-alice")
        notebook = Notebook(await connected(gateway, kernel_id, "of-alice"))
        assert await notebook.run("print(1)") == "1\n"


class Users:
    """The file of the users."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def set(self, name: str, token: str | None = "", admin: bool = False) -> None:
        """Let a user in by `token`, by default `of-NAME`; None: no more."""
        with changing(str(self.path)) as users:
            users.pop(name, None)
            if token is not None:
                users[name] = FileUser(digest_of(token or f"of-{name}"), admin=admin)

    def damage(self) -> str:
        """Break the file; what was in it."""
        before = self.path.read_text()
        self.path.write_text(before[:-1])
        return before

    def mend(self, content: str) -> None:
        self.path.write_text(content)


async def started(gateway: Client, token: str) -> str:
    """The id of a python kernel of the user of `token`."""
    answer = await gateway.ask("POST", "/api/kernels", {"name": "python3"}, Authorization=f"token {token}")
    assert answer.code == 201, answer.body
    return str(json.loads(answer.body)["id"])


async def connected(gateway: Client, kernel_id: str, token: str, session: str = "s1") -> Any:
    return await websocket_connect(f"{url(gateway, kernel_id, session)}&token={token}")


@asynccontextmanager
async def opened(gateway: Client, kernel_id: str, token: str, session: str = "s1") -> AsyncIterator[Notebook]:
    socket = await connected(gateway, kernel_id, token, session)
    try:
        yield Notebook(socket, session)
    finally:
        socket.close()
