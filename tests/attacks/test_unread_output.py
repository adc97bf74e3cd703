"""Output that nobody reads takes no more of the gateway's memory than it may, and its notebook is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.kernels.output_buffer import OutputBuffer
from tests.fakes.notebook import Notebook, connections, opened, relay_of
from tests.fakes.toree import QUICK
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
LIMIT = 100_000
COUNT, SIZE = 1500, 20_000
#: 30 MB: more than what the system keeps for a connection that isn't read.
FLOOD = f"for n in range({COUNT}): display({{'text/plain': f'{{n:05}}' + 'x' * {SIZE}}}, raw=True)\n"


@pytest.fixture
def settings() -> dict[str, Any]:
    return QUICK | {"KG2ATPersonality": {"max_buffered_output": LIMIT}}


def shown(messages: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of the outputs among `messages`."""
    return [int(each["content"]["data"]["text/plain"][:5]) for each in messages if each["msg_type"] == "display_data"]


def told(messages: list[dict[str, Any]]) -> list[str]:
    return [each["content"]["text"] for each in messages if "left out" in each["content"].get("text", "")]


def check(messages: list[dict[str, Any]]) -> None:
    """Check that all messages of the cell are there but the oldest output, of which the notebook is told."""
    numbers, sentences = shown(messages), told(messages)
    assert numbers == sorted(numbers) and numbers[-1] == COUNT - 1
    left_out = sum(int(sentence.split()[0]) for sentence in sentences)
    assert left_out == COUNT - len(numbers) > 0
    assert "MiB" in sentences[0] and "max_buffered_output" in sentences[0]
    kinds = [each["content"].get("execution_state") or each["msg_type"] for each in messages]
    assert "execute_reply" in kinds and "idle" in kinds and "stream" in kinds


def has_ended(buffer: OutputBuffer) -> bool:
    """Return whether the cell's idle status is there. Its reply may have gone out before."""
    return any(b'"idle"' in parts[-1] for _, parts in buffer)


async def all_of(notebook: Notebook, msg_id: str) -> list[dict[str, Any]]:
    messages = await notebook.until("idle", msg_id)
    kinds = [message["msg_type"] for message in messages]
    return messages if "execute_reply" in kinds else messages + await notebook.until("execute_reply", msg_id)


async def test_while_no_notebook_is_connected(gateway: Any, tmp_path: Path) -> None:
    kernel_id = await gateway.start()
    manager, gate = gateway.app.kernel_manager, tmp_path / "gate"
    async with opened(gateway, kernel_id) as notebook:
        await notebook.run("import pathlib, time")
        wait = f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\n"
        msg_id = notebook.execute(wait + FLOOD)
        await notebook.until("execute_input", msg_id)
    await until(lambda: connections(gateway, kernel_id) == 0, "the end of the connection")
    gate.touch()
    buffered: OutputBuffer = manager._kernel_buffers[kernel_id]["buffer"]
    await until(lambda: has_ended(buffered), "the end of the cell", limit=50)
    assert buffered.size < 2 * LIMIT
    async with opened(gateway, kernel_id) as notebook:
        messages = await all_of(notebook, msg_id)
        check(messages)
        assert len(shown(messages)) <= LIMIT / SIZE
        assert await notebook.run("print('goes on')") == "goes on\n"


async def test_while_a_notebook_is_connected_and_does_not_read(gateway: Any) -> None:
    kernel_id = await gateway.start()
    manager = gateway.app.kernel_manager
    async with opened(gateway, kernel_id) as notebook:
        await notebook.run("1")
        msg_id = notebook.execute(FLOOD)
        queue = relay_of(kernel_id).write_queue
        await until(lambda: queue.waits, "a full connection", limit=50)
        await until(lambda: has_ended(queue.buffer), "the end of the cell", limit=50)
        assert queue.buffer.size < 20 * LIMIT
        check(await all_of(notebook, msg_id))
        assert await notebook.run("print('goes on')") == "goes on\n"
    await until(lambda: connections(gateway, kernel_id) == 0, "the end of the connection")
    assert manager._kernel_buffers[kernel_id]["buffer"]._limit == LIMIT
