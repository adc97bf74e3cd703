"""A master that does not answer, hangs or recovers."""

from __future__ import annotations

import asyncio
import logging

import pytest

from kg2at_personality.errors import (
    StillUnreachable,
)
from tests.admission.scene import REFUSED, Scene, play, refusal, virtual


@virtual
async def test_unreachable_is_waited_for_and_then_said() -> None:
    scene = Scene()
    scene.failure = REFUSED
    error = await refusal(scene.ask("a"))
    assert asyncio.get_running_loop().time() == pytest.approx(30.0)
    assert (type(error), error.status, error.retry_after) == (StillUnreachable, 503, 10.0)  # type: ignore[attr-defined]
    assert str(error) == "Spark master http://master:8080: connection refused"
    assert error.reason == "Spark master unreachable"


@virtual
async def test_unreachable_for_a_while_only() -> None:
    scene = Scene()
    scene.failure = REFUSED
    task = scene.ask("a")
    await asyncio.sleep(3.0)
    assert scene.queue.status()["cluster"]["error"] == "Spark master http://master:8080: connection refused"
    scene.failure = None
    await asyncio.sleep(1.0)
    assert task.done()
    assert "error" not in scene.queue.status()["cluster"]


def test_unreachable_admits_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        stage = Scene(master_unreachable="admit")
        stage.failure = REFUSED
        await stage.admit("a", 6)
        assert list(stage.leases) == ["a"]
        stage.failure = None
        task = stage.ask("b", 4)
        await asyncio.sleep(2.0)
        assert not task.done()  # the lease holds
        await stage.queue.close()

    play(scene)
    (warning,) = [record for record in caplog.records if "Admitted" in record.message]
    assert (warning.levelno, "connection refused" in warning.message) == (logging.WARNING, True)


@virtual
async def test_a_master_that_hangs_is_said_in_time() -> None:
    scene = Scene()
    scene.gate = asyncio.Event()
    error = await refusal(scene.ask("a", patience=8.0))
    assert isinstance(error, StillUnreachable)
    assert "no answer within 6.0 s" in str(error)
    assert asyncio.get_running_loop().time() == pytest.approx(6.0)


@virtual
async def test_a_recovering_master_grants_nothing() -> None:
    scene = Scene(master_unreachable="admit")
    scene.master.status = "RECOVERING"
    task = scene.ask("a", patience=8.0)
    assert "the Spark master is RECOVERING and grants nothing yet" in str(await refusal(task))
    task = scene.ask("b")
    await asyncio.sleep(2.0)
    scene.master.complete_recovery()
    await asyncio.sleep(2.0)
    assert task.done()


def test_no_exception_ends_the_poller(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        stage = Scene()
        stage.failure = ZeroDivisionError("a bug")
        task = stage.ask("a")
        await asyncio.sleep(3.5)
        assert len(stage.polls) == 4
        stage.failure = None
        await asyncio.sleep(1.0)
        assert task.done()

    play(scene)
    assert "ZeroDivisionError: a bug" in caplog.text


@virtual
async def test_no_bug_in_judging_ends_it_either() -> None:
    scene = Scene()
    read = scene.queue._leases.read
    scene.queue._leases.read = None  # type: ignore[method-assign,assignment]
    task = scene.ask("a")
    await asyncio.sleep(2.5)
    assert not task.done()
    scene.queue._leases.read = read  # type: ignore[method-assign]
    await asyncio.sleep(1.0)
    assert task.done()
