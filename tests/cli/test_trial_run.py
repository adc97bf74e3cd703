"""The steps of `check --start`, against a gateway and a kernel that answer what a test says."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from tornado.websocket import WebSocketClientConnection
from traitlets.config import Config

from kg2at_personality.cli.check import trial_run
from kg2at_personality.cli.check.check_command import CheckApp
from kg2at_personality.cli.check.finding import Finding
from kg2at_personality.cli.check.trial_gateway import TrialGateway
from kg2at_personality.cli.progress import Progress
from kg2at_personality.errors import KG2ATError
from tests.fakes.toree import FakeSpark

Frames = list[Any]
TOREE = ["apache_toree_scala"]


class Socket:
    """Answers each request with the `frames` that it makes of the request's id."""

    def __init__(self, frames: Callable[[str, str], Frames]) -> None:
        self.frames, self.waiting = frames, Frames()

    async def write_message(self, text: str) -> None:
        header = json.loads(text)["header"]
        self.waiting = self.frames(header["msg_type"], header["msg_id"])

    async def read_message(self) -> Any:
        return self.waiting.pop(0)

    def close(self) -> None:
        self.waiting = [None]


def message(msg_id: str, msg_type: str, **content: Any) -> str:
    return json.dumps({"msg_type": msg_type, "parent_header": {"msg_id": msg_id}, "content": content})


def good(msg_type: str, msg_id: str) -> Frames:
    output = [message(msg_id, "stream", text="5050.0\n")] if msg_type == "execute_request" else []
    foreign = [b"with buffers", message("another", "status", execution_state="idle")]
    end = [message(msg_id, "status", execution_state="idle"), message(msg_id, msg_type.replace("_request", "_reply"))]
    return [*foreign, message(msg_id, "status", execution_state="busy"), *output, *end]


def wrong(msg_type: str, msg_id: str) -> Frames:
    return [
        *good("kernel_info_request", msg_id)[:-2],
        message(msg_id, "error", evalue="no luck"),
        *good(msg_type, msg_id)[-2:],
    ]


def dead(msg_type: str, msg_id: str) -> Frames:
    return [message("", "status", execution_state="dead")]


class Gateway:
    """Has one kernel, whose websocket is a Socket."""

    def __init__(self, frames: Callable[[str, str], Frames]) -> None:
        self.socket, self.asked, self.group = Socket(frames), list[str](), self

    def tail(self, lines: int) -> str:
        return "[I 1] all is well\n[E 2] Kernel died"

    async def listening(self) -> None:
        return None

    async def ask(self, method: str, path: str, limit: float, body: object = None) -> Any:
        self.asked.append(f"{method} {path}")
        return {"id": "k1"}

    async def connect(self, kernel_id: str) -> WebSocketClientConnection:
        return cast(WebSocketClientConnection, self.socket)


def findings(gateway: Gateway, limit: float = 30.0, kernels: Sequence[str] = TOREE) -> tuple[list[Finding], str]:
    out = io.StringIO()
    trial = trial_run.Trial(cast(TrialGateway, gateway), limit, kernels)
    return asyncio.run(trial.findings(Progress(out))), out.getvalue()


def test_all_steps() -> None:
    gateway = Gateway(good)
    found, out = findings(gateway)
    assert [each.level for each in found] == ["ok"] * 5
    assert "is 5050.0" in found[3].said
    assert gateway.asked == ["POST /api/kernels", "DELETE /api/kernels/k1"]
    assert out.splitlines() == [f"[{number}/5] {each.check}" for number, each in enumerate(found, 1)]


def test_python_is_tried_too() -> None:
    gateway = Gateway(good)
    found, _ = findings(gateway, kernels=[*TOREE, "spark_python"])
    assert [each.level for each in found] == ["ok"] * 9
    assert found[7].check == "Spark job, spark_python" and "range(1, 101)" in found[7].said
    assert [each.said.split()[0] for each in found if re.search(r"started \(\d+\.\d s\)$", each.said)] == [
        *TOREE,
        "spark_python",
    ]
    assert gateway.asked == ["POST /api/kernels", "DELETE /api/kernels/k1"] * 2


@pytest.mark.parametrize(
    ("version", "scala", "inject", "expected"),
    [
        ("3.5.2", "2.12", True, [*TOREE, "spark_python"]),
        ("4.0.1", "2.13", True, ["spark_python"]),
        ("3.5.2", "2.12", False, TOREE),
    ],
)
def test_those_that_are_offered_are_tried(
    spark: FakeSpark, version: str, scala: str, inject: bool, expected: list[str]
) -> None:
    spark.become(version, scala)
    command = CheckApp(config=Config({"KG2ATPersonality": {"inject_kernelspecs": inject}}))
    assert trial_run._kernels(command) == expected


@pytest.mark.parametrize(
    ("frames", "said"),
    [(dead, "the kernel died"), (lambda *_: [None], "the gateway closed the kernel's websocket")],
)
def test_a_kernel_that_does_not_answer(frames: Callable[[str, str], Frames], said: str) -> None:
    found, _ = findings(Gateway(frames))
    assert [each.level for each in found] == ["ok", "ok", "error"]
    assert (found[-1].said, found[-1].remedy) == (said, "the gateway's last words: [E 2] Kernel died")


def test_a_job_with_another_result() -> None:
    found, _ = findings(Gateway(wrong))
    assert found[-1].check == "Spark job" and found[-1].said.endswith("gave no luck")


def test_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    gateway = Gateway(good)
    monkeypatch.setattr(gateway, "listening", never)
    [found], _ = findings(gateway, limit=0.01)
    assert (found.level, found.said) == ("error", "not done within 0.01 s")


def test_a_refusal_is_the_last_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise KG2ATError("No cores are free.")

    gateway = Gateway(good)
    monkeypatch.setattr(gateway, "ask", refuse)
    found, _ = findings(gateway)
    assert [each.said for each in found[1:]] == ["No cores are free."]
