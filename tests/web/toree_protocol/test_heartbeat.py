"""A kernel's heartbeat tells whether it runs."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from kg2at_personality.web.toree_protocol.heartbeat import Heartbeat
from tests.fakes.toree import QUICK
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)


@pytest.fixture
def settings() -> dict[str, Any]:
    return QUICK


async def beating(gateway: Any) -> tuple[Any, Heartbeat, list[int]]:
    """A kernel that has answered its heartbeat once, and the answers so far."""
    kernel = gateway.app.kernel_manager.get_kernel(await gateway.start())
    await kernel.answered()
    heartbeat, beats = Heartbeat(kernel), list[int]()
    heartbeat.ask(lambda: beats.append(1))
    await until(lambda: beats == [1], "a beat")
    return kernel, heartbeat, beats


def stop(pid: int) -> None:
    """Stop a child, and wait until all its threads stand still, as the heartbeat's may be last."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


async def test_one_that_stands_still_answers_when_it_goes_on(gateway: Any) -> None:
    kernel, heartbeat, beats = await beating(gateway)
    stop(kernel.pid)
    heartbeat.ask(lambda: beats.append(2))
    heartbeat.ask(lambda: beats.append(3))
    assert (await gateway.ask("GET", "/api/kernels")).code == 200
    assert beats == [1], "the gateway has had time for it"
    os.kill(kernel.pid, signal.SIGCONT)
    await until(lambda: beats == [1, 2, 3], "the others")
    heartbeat.close()
    heartbeat.close()


async def test_a_new_process_is_asked_where_it_is(gateway: Any) -> None:
    kernel, heartbeat, beats = await beating(gateway)
    stop(kernel.pid)
    heartbeat.ask(lambda: beats.append(2))  # nobody answers that one
    kernel.cache_ports = False
    assert (await gateway.ask("POST", f"/api/kernels/{kernel.kernel_id}/restart", {})).code == 200
    await kernel.answered()
    heartbeat.ask(lambda: beats.append(3))
    await until(lambda: beats == [1, 2, 3], "a beat of the new one")
    heartbeat.close()
