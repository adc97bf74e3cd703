"""Events: Jupyter Server's own, each once, kg2at's with what accounting needs, and where they are written."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jupyter_events import EventLogger
from jupyter_events.validators import validate_schema
from jupyter_events.yaml import loads

from kg2at_personality.assembly import event_logger_of
from kg2at_personality.errors import ConfigError
from kg2at_personality.kernels.journal import (
    BecameZombie,
    CoreWaitResult,
    Died,
    Entry,
    Interrupted,
    KernelFacts,
    RestartResult,
    Started,
    StartResult,
    Stopped,
)
from kg2at_personality.kernels.kernel_events import ACTIONS, LIVES, SCHEMAS, KernelEvents
from kg2at_personality.kernels.outcomes import ALL, CANCELLED, DIED, STARTED, STOPPED, Outcome
from kg2at_personality.system.private_file import PrivateLog
from tests.fakes.gateways import kernel_of
from tests.fakes.identity import ALICE, ROOT, NamedTokens, with_users
from tests.fakes.toree import QUICK
from tests.fakes.wait import until

FACTS = KernelFacts("ID", "spark_python", "alice", "alice", 2)
BUSY = Outcome("refused", "cluster_busy")
PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"


class Written:
    """What an EventLogger has written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def events(self, schema: str) -> list[dict[str, Any]]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        found = [json.loads(line) for line in lines]
        return [{key: each[key] for key in each if key[:2] != "__"} for each in found if each["__schema__"] == schema]

    def told(self, schema: str = LIVES) -> list[tuple[Any, ...]]:
        shown = ("action", "reason", "seconds") if schema == LIVES else ("action", "status", "msg")
        return [tuple(event[key] for key in shown) for event in self.events(schema)]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "events.jsonl")


@pytest.fixture
def events(written: Written) -> KernelEvents:
    return KernelEvents(EventLogger(handlers=[PrivateLog(str(written.path))]))


def hear(events: KernelEvents, *entries: Entry) -> None:
    for entry in entries:
        events.hear(entry)


def result(outcome: Outcome, message: str = "", seconds: float = 1.0, is_warm: bool = False) -> StartResult:
    return StartResult(FACTS, outcome, message, seconds, is_warm)


class TestOurs:
    def test_each_step(self, events: KernelEvents, written: Written) -> None:
        hear(
            events,
            CoreWaitResult(FACTS, STARTED, 3.0),
            CoreWaitResult(FACTS, BUSY, 3.0),
            Started(FACTS, is_warm=True),
            result(STARTED, seconds=4.0, is_warm=True),
            result(BUSY, "with a secret"),
            result(DIED, "with a secret"),
            result(CANCELLED),
            result(STOPPED),
            Died(FACTS, "with a secret", 0.0, is_restarted=True, at_start=False),
            Died(FACTS, "with a secret", 7.0, is_restarted=False, at_start=False),
            Stopped(FACTS, "root", "", 8.0, had_lived=True),
            Stopped(FACTS, None, "Nobody used it.", 8.0, had_lived=True),
            Stopped(FACTS, None, "", 2.0, had_lived=False),
            Stopped(FACTS, "alice", "", 0.0, had_lived=False),
            BecameZombie(FACTS, "It outlives SIGKILL."),
        )
        assert written.told() == [
            ("admitted", "", 3.0),
            ("started", "", 4.0),
            ("refused", "cluster_busy", 1.0),
            ("failed", "died", 1.0),
            ("cancelled", "cancelled", 1.0),
            ("cancelled", "stopped", 1.0),
            ("died", "restarted", 0.0),
            ("died", "died", 7.0),
            ("stopped", "user", 8.0),
            ("stopped", "culled", 8.0),
            ("stopped", "gateway", 2.0),
        ]
        found = written.events(LIVES)
        assert found[1] == {
            "action": "started",
            "kernel_id": "ID",
            "kernel_name": "spark_python",
            "user": "alice",
            "cores": 2,
            "seconds": 4.0,
            "reason": "",
            "warm": True,
        }
        assert [event.get("by") for event in found[-3:]] == ["root", None, None]
        assert not any("secret" in str(event) for event in found)

    @pytest.mark.parametrize("outcome", ALL, ids=":".join)
    def test_every_outcome_is_valid(self, events: KernelEvents, written: Written, outcome: Outcome) -> None:
        hear(events, result(outcome))
        assert len(written.events(LIVES)) == 1

    def test_the_schema_marks_what_is_personal(self) -> None:
        schema = loads(SCHEMAS[0].read_text(encoding="utf-8"))
        validate_schema(schema)
        marked = {name for name, about in schema["properties"].items() if about.get("personal-data")}
        assert schema["personal-data"] and marked == {"user", "by"} and schema["$id"] == LIVES


class TestJupyterServers:
    def test_each_action_once(self, events: KernelEvents, written: Written) -> None:
        for end in (STARTED, DIED, CANCELLED):  # it has been started, whatever comes then
            hear(events, Started(FACTS, is_warm=False), result(end, "It died."))
        hear(
            events,
            result(BUSY, "No."),
            result(CANCELLED),
            Interrupted(FACTS, STARTED, ""),
            Interrupted(FACTS, Outcome("failed", "internal"), "Not allowed."),
            RestartResult(FACTS, STARTED, "", "alice"),
            RestartResult(FACTS, BUSY, "Not now.", "alice"),
            Died(FACTS, "Once.", 0.0, is_restarted=True, at_start=False),
            Died(FACTS, "For good.", 1.0, is_restarted=False, at_start=False),
            Stopped(FACTS, "alice", "", 1.0, had_lived=True),
            Stopped(KernelFacts("ID", "", "alice", "alice"), "alice", "", 0.0, had_lived=False),
        )
        assert written.told(ACTIONS) == [
            *[("start", "success", "Kernel ID was started.")] * 3,
            ("start", "error", "No."),
            ("interrupt", "success", "Kernel ID was interrupted."),
            ("interrupt", "error", "Not allowed."),
            ("restart", "success", "Kernel ID was restarted."),
            ("restart", "error", "Not now."),
            ("restart", "success", "Kernel ID was restarted."),
            ("shutdown", "success", "Kernel ID was shutdown."),
        ]
        assert {tuple(event) for event in written.events(ACTIONS)} == {
            ("kernel_id", "kernel_name", "action", "status", "msg")
        }
        assert events._starting == set()

    def test_a_stop_while_it_starts(self, events: KernelEvents, written: Written) -> None:
        hear(events, result(CANCELLED), Started(FACTS, is_warm=False), Stopped(FACTS, None, "", 1.0, had_lived=True))
        assert [action for action, *_ in written.told(ACTIONS)] == ["start", "shutdown"]
        assert events._starting == set()


@pytest.mark.gen_test(timeout=60)
class TestAGateway:
    @pytest.fixture
    def settings(self, written: Written) -> Any:
        return with_users(NamedTokens, **QUICK | {"KG2ATPersonality": {"events_file": str(written.path)}})

    async def test_a_life(self, gateway: Any, written: Written) -> None:
        answer = await gateway.ask("POST", "/api/kernels", {"name": "python3"}, **ALICE)
        kernel_id = json.loads(answer.body)["id"]
        kernel = kernel_of(gateway, kernel_id)
        await until(lambda: written.events(LIVES), "its first answer")
        for action, code in (("interrupt", 204), ("restart", 200)):
            assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/{action}", **ALICE)).code == code
        await kernel.answered()
        os.kill(kernel.pid, signal.SIGKILL)
        await until(lambda: len(written.events(LIVES)) == 2, "its death")
        await kernel.answered()
        assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}", **ROOT)).code == 204
        assert (await gateway.ask("POST", "/api/kernels", {"name": "nope"}, **ALICE)).code == 404
        assert [event["action"] for event in written.events(LIVES)] == ["started", "died", "stopped", "refused"]
        assert {event["user"] for event in written.events(LIVES)} == {"alice"}
        assert written.events(LIVES)[2]["by"] == "root"
        told = [(event["action"], event["status"]) for event in written.events(ACTIONS)]
        assert told == [
            ("start", "success"),
            ("interrupt", "success"),
            ("restart", "success"),
            ("restart", "success"),
            ("shutdown", "success"),
            ("start", "error"),
        ]
        assert stat.S_IMODE(written.path.stat().st_mode) == 0o600


class TestWhereTheyGo:
    def test_a_file_that_is_moved_away(self, tmp_path: Path, events: KernelEvents, written: Written) -> None:
        hear(events, result(STARTED))
        written.path.rename(tmp_path / "events.jsonl.1")
        hear(events, result(STARTED))
        assert len(written.events(LIVES)) == 1 and stat.S_IMODE(written.path.stat().st_mode) == 0o600

    def test_a_file_is_appended_to(self, events: KernelEvents, written: Written) -> None:
        for each in (events, KernelEvents(EventLogger(handlers=[PrivateLog(str(written.path))]))):
            hear(each, result(STARTED))
        assert len(written.events(LIVES)) == 2

    def test_one_that_can_not_be_opened(self, tmp_path: Path) -> None:
        class App:
            events_file = str(tmp_path)

        with pytest.raises(ConfigError, match="events_file: no events can be written"):
            event_logger_of(App(), None)  # type: ignore[arg-type]

    @pytest.mark.gen_test(timeout=60)
    @pytest.mark.parametrize("has_file", [False, True])
    async def test_handlers_of_the_configuration_file(self, spark: Any, written: Written, has_file: bool) -> None:
        from kernel_gateway.gatewayapp import KernelGatewayApp

        own = written.path.with_name("own.jsonl")
        text = f"import logging\nc.EventLogger.handlers = [logging.FileHandler({str(own)!r})]\n"
        text += "c.KernelGatewayApp.api = 'kg2at_personality'\n"
        text += f"c.KG2ATPersonality.events_file = {str(written.path)!r}\n" if has_file else ""
        (spark.root / "CONFIG" / "jupyter_kernel_gateway_config.py").write_text(text)
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)}
        app = KernelGatewayApp()
        try:
            app.initialize([], new_httpserver=False)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        app.kernel_manager.lives.journal.tell(result(BUSY))
        assert len(Written(own).events(LIVES)) == 1 and len(written.events(LIVES)) == has_file


def accounting() -> str:
    """The jq program of the page."""
    [program] = re.findall(r"^jq -sr '(.*)' events.jsonl$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return str(program)


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_accounting_is_one_line(events: KernelEvents, written: Written) -> None:
    bobs = KernelFacts("B", "spark_python", "bob", "bob", 4)
    hear(
        events,
        CoreWaitResult(FACTS, STARTED, 5000.0),
        Started(FACTS, is_warm=False),
        result(STARTED, seconds=5000.0),
        Died(FACTS, "", 0.0, is_restarted=True, at_start=False),
        Stopped(FACTS, "alice", "", 3600.0, had_lived=True),
        Died(FACTS, "", 1800.0, is_restarted=False, at_start=False),
        Stopped(FACTS, "alice", "", 0.0, had_lived=False),
        Stopped(bobs, None, "", 900.0, had_lived=True),
    )
    text = written.path.read_text()
    month = json.loads(text.splitlines()[0])["__timestamp__"][:7]
    # The same again, in the month before.
    written.path.write_text(text + text.replace(f'"{month}', '"2001-01'))
    run = subprocess.run(["jq", "-sr", accounting(), str(written.path)], capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in run.stdout.splitlines()]
    assert rows == [[when, *row] for when in ("2001-01", month) for row in (["alice", "3"], ["bob", "1"])]
