"""The lines that tell who was let in and refused, and who started and stopped whose kernels."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.kernels.audit import REMEMBERED, Audit
from kg2at_personality.kernels.journal import KernelFacts, RestartResult, Started, Stopped
from kg2at_personality.kernels.outcomes import STARTED, Outcome
from tests.fakes.gateways import kernel_of
from tests.fakes.identity import ALICE, BOB, ROOT, WRONG, NamedTokens, with_users
from tests.fakes.toree import QUICK
from tests.fakes.wait import until
from tests.fakes.warm_kind import WarmKind
from tests.kernels.warm_scene import EAGER, NAME, filled_once

LOGGER = "tests.app.kg2at.audit"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class TestLines:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def audit(self, clock: Clock, caplog: pytest.LogCaptureFixture) -> Audit:
        caplog.set_level("INFO", LOGGER)
        return Audit(logging.getLogger("tests.app"), clock)

    def test_who_is_let_in_is_told_once_an_hour(self, audit: Audit, clock: Clock, caplog: Any) -> None:
        for clock.now in (0, 1, 3599, 3600, 3601):
            audit.let_in("alice", "10.0.0.1")
        assert caplog.messages == ["let in: alice from 10.0.0.1"] * 2
        audit.let_in("alice", "10.0.0.2")
        audit.let_in("", "10.0.0.1")
        assert caplog.messages[2:] == ["let in: alice from 10.0.0.2", "let in: the administrator from 10.0.0.1"]

    def test_a_flood_of_refusals_is_counted(self, audit: Audit, clock: Clock, caplog: Any) -> None:
        for number in range(1000):
            clock.now = number / 1000
            audit.refused("GET", "/api/kernels", "10.0.0.1", 401)
        audit.refused("POST", "/api", "10.0.0.2", 403)
        clock.now = 10
        audit.refused("GET", "/api", "10.0.0.1", 401)
        assert caplog.messages == [
            "refused: GET /api/kernels from 10.0.0.1: 401",
            "refused: POST /api from 10.0.0.2: 403",
            "refused: GET /api from 10.0.0.1: 401, and 999 more before",
        ]
        assert {record.levelname for record in caplog.records} == {"WARNING"}

    def test_what_is_remembered_is_bounded(self, audit: Audit) -> None:
        for number in range(3 * REMEMBERED):
            audit.let_in("alice", str(number))
            audit.refused("GET", "/", str(number), 401)
        assert len(audit._let_in) == len(audit._refused) == REMEMBERED

    @pytest.mark.parametrize("name", ["eve\nstarted: kernel x of bob", "eve of bob", "the gateway", "\u2028x", "'"])
    def test_a_name_makes_no_other_line(self, audit: Audit, caplog: Any, name: str) -> None:
        audit.let_in(name, "10.0.0.1")
        kernel = KernelFacts("ID", name, name, name)
        audit.hear(Started(kernel, is_warm=True))
        audit.hear(Stopped(kernel, name, "", 0.0, had_lived=True))
        audit.refused("GET\n", f"/{name}", "10.0.0.1", 401)
        assert caplog.messages == [
            f"let in: {name!r} from 10.0.0.1",
            f"started: kernel ID ({name!r}) of {name!r}, which had waited",
            f"stopped: kernel ID of {name!r}, by {name!r}",
            f"refused: 'GET\\n' {f'/{name}'!r} from 10.0.0.1: 401",
        ]
        assert all(message.isprintable() for message in caplog.messages)

    def test_a_long_path_is_cut(self, audit: Audit, caplog: Any) -> None:
        audit.refused("GET", "/" + "a" * 5000, "10.0.0.1", 401)
        assert len(caplog.messages[0]) < 300

    def test_whose_kernels_are_stopped_and_restarted(self, audit: Audit, caplog: Any) -> None:
        bobs, nobodys = (KernelFacts("ID", "python3", owner, "whoever") for owner in ("bob", ""))
        audit.hear(Stopped(bobs, "alice", "", 1.0, had_lived=True))
        audit.hear(Stopped(bobs, None, "Nobody used it.", 1.0, had_lived=False))
        audit.hear(Stopped(nobodys, "", "", 1.0, had_lived=True))
        audit.hear(RestartResult(bobs, STARTED, "", "alice"))
        audit.hear(RestartResult(bobs, Outcome("refused", "cluster_busy"), "Not now.", "alice"))
        assert caplog.messages == [
            "stopped: kernel ID of bob, by alice",
            "stopped: kernel ID of bob, by the gateway: Nobody used it.",
            "stopped: kernel ID of the administrator, by the administrator",
            "restarted: kernel ID of bob, by alice",
        ]


@pytest.mark.gen_test(timeout=60)
class TestAGateway:
    @pytest.fixture
    def settings(self) -> Any:
        warm = {"warm_kernels": {NAME: 1}, "warm_memory_reserve": 0}
        return with_users(NamedTokens, **QUICK | {"KG2ATPersonality": warm | {"admin_users": ["root"]}})

    @pytest.fixture
    def lines(self, gateway: Any, caplog: Any) -> Any:
        gateway.app.log.propagate = True
        caplog.set_level("INFO")
        return lambda: [each.getMessage() for each in caplog.records if each.name.endswith(".kg2at.audit")]

    async def test_requests(self, gateway: Any, lines: Any) -> None:
        for who in (ALICE, ALICE, WRONG, WRONG, BOB):
            await gateway.ask("GET", "/api/kernels?token2=secret", **who)
        assert lines() == [
            "let in: alice from 127.0.0.1",
            "refused: GET /api/kernels from 127.0.0.1: 401",
            "let in: bob from 127.0.0.1",
        ]

    async def test_a_refused_websocket(self, gateway: Any, lines: Any) -> None:
        await gateway.ask("GET", "/api/kernels/0-0-0-0-0/channels?token=secret-token")
        assert lines() == ["refused: GET /api/kernels/0-0-0-0-0/channels from 127.0.0.1: 401"]

    async def test_a_kernels_life(self, gateway: Any, lines: Any) -> None:
        answer = await gateway.ask("POST", "/api/kernels", {"name": "python3"}, **ALICE)
        kernel_id = json.loads(answer.body)["id"]
        await kernel_of(gateway, kernel_id).answered()
        assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", **ALICE)).code == 200
        assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}", **BOB)).code == 404
        for _ in range(2):
            assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}", **ROOT)).code == 204
        assert [line for line in lines() if not line.startswith("let in")] == [
            f"started: kernel {kernel_id} (python3) of alice",
            f"restarted: kernel {kernel_id} of alice, by alice",
            f"stopped: kernel {kernel_id} of alice, by root",
        ]

    async def test_a_sessions(self, gateway: Any, lines: Any) -> None:
        body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        session = json.loads((await gateway.ask("POST", "/api/sessions", body, **ALICE)).body)
        path, before = f"/api/sessions/{session['id']}", session["kernel"]["id"]
        answer = await gateway.ask("PATCH", path, {"kernel": {"name": "python3"}}, **ALICE)
        after = json.loads(answer.body)["kernel"]["id"]
        assert (await gateway.ask("DELETE", path, **ALICE)).code == 204
        assert lines()[1:] == [
            f"started: kernel {before} (python3) of alice",
            f"started: kernel {after} (python3) of alice",
            f"stopped: kernel {before} of alice, by alice",
            f"stopped: kernel {after} of alice, by alice",
        ]

    async def test_one_that_had_waited_and_is_culled(self, gateway: Any, lines: Any, kind: WarmKind) -> None:
        manager = gateway.app.kernel_manager
        manager.timing = EAGER
        [waiting] = await filled_once(manager)
        assert (await gateway.ask("POST", "/api/kernels", {"name": NAME}, **ALICE)).code == 201
        kernel = kernel_of(gateway, waiting)
        await until(lambda: kernel.execution_state == "idle", "idle")
        kernel.activity_stream.stop_on_recv()
        kernel.last_activity = datetime.now(timezone.utc) - timedelta(hours=2)
        manager.cull_idle_timeout = 3600
        await manager.cull_kernels()
        assert lines()[1] == f"started: kernel {waiting} ({NAME}) of alice, which had waited"
        assert lines()[2].startswith(
            f"stopped: kernel {waiting} of alice, by the gateway: This kernel was shut down at"
        )

    async def test_the_gateways_end(self, gateway: Any, lines: Any) -> None:
        kernel_id = json.loads((await gateway.ask("POST", "/api/kernels", {"name": "python3"}, **ALICE)).body)["id"]
        await gateway.app.personality.shutdown()
        assert lines()[-1] == f"stopped: kernel {kernel_id} of alice, by the gateway"


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.mark.gen_test(timeout=60)
class TestAFileOfItsOwn:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Iterator[Path]:
        yield tmp_path / "audit.log"
        logger = logging.getLogger("KernelGatewayApp.kg2at.audit")
        logger.propagate = True
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()

    @pytest.fixture
    def settings(self, path: Path) -> Any:
        file = {"class": "logging.FileHandler", "filename": str(path), "formatter": "console", "level": "INFO"}
        logger = {"handlers": ["audit"], "propagate": False}
        config = {"handlers": {"audit": file}, "loggers": {"KernelGatewayApp.kg2at.audit": logger}}
        return with_users(NamedTokens, KernelGatewayApp={"logging_config": config})

    async def test_the_lines_are_there_alone(self, gateway: Any, path: Path, capfd: Any) -> None:
        await gateway.ask("GET", "/api/kernels", **ALICE)
        [line] = lines_of(path)
        assert line.endswith("KernelGatewayApp.kg2at.audit] let in: alice from 127.0.0.1")
        assert "let in" not in capfd.readouterr().err
