"""A kernel that dies while it runs a cell: what its notebook is told below the cell, before it hears of the restart."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.kernels.files import KernelFiles
from kg2at_personality.web.channels.notebook import V1
from tests.fakes.app import Client
from tests.fakes.gateways import kernel_of
from tests.fakes.notebook import Notebook, opened
from tests.fakes.processes import kill
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)


async def until_restarting(notebook: Notebook) -> list[dict[str, Any]]:
    """Return what the notebook gets until it is told of the restart."""
    found = [await notebook.receive()]
    while found[-1]["content"].get("execution_state") != "restarting":
        found.append(await notebook.receive())
    return found


def of(cell: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in messages if each["parent_header"].get("msg_id") == cell]


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [each["content"].get("execution_state", each["msg_type"]) for each in messages]


@pytest.mark.parametrize("protocol", ["", V1])
async def test_its_cell_ends_with_the_reason(gateway: Client, protocol: str) -> None:
    kernel_id = await gateway.start()
    async with opened(gateway, kernel_id, protocol=protocol) as notebook, opened(gateway, kernel_id, "s2") as other:
        cell = notebook.execute("print('begun'); import os; os._exit(3)")
        told = of(cell, await until_restarting(notebook))
        assert kinds(told)[-3:] == ["error", "execute_reply", "idle"]
        error, reply = told[-3]["content"], told[-2]["content"]
        assert error["ename"] == reply["ename"] == "KernelDied" and reply["status"] == "error"
        assert error["evalue"].startswith("The kernel died (exit status 3).")
        assert error["traceback"] == [error["evalue"]]
        assert "KernelDied" not in json.dumps(await until_restarting(other)), "it is not its cell"
        assert await notebook.run("print('after')") == "after\n"
    # The gateway hears the kernel by another socket than the notebook.
    await until(lambda: kernel_of(gateway, kernel_id).execution_state == "idle", "idle")
    model = json.loads((await gateway.ask("GET", f"/api/kernels/{kernel_id}")).body)
    assert model["reason"] == error["evalue"]
    assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})).code == 200
    assert "reason" not in json.loads((await gateway.ask("GET", f"/api/kernels/{kernel_id}")).body)


async def test_a_toree_too(gateway: Client, spark: Any) -> None:
    kernel_id = await gateway.start(name="apache_toree_scala")
    async with opened(gateway, kernel_id) as notebook:
        await notebook.run("print('before')")
        cell = notebook.execute("import os, sys; print('no heap', file=sys.__stderr__, flush=True); os._exit(3)")
        told = of(cell, await until_restarting(notebook))
        assert kinds(told)[-3:] == ["error", "execute_reply", "idle"]
        assert told[-3]["content"]["evalue"].endswith("(exit status 3). Its last lines:\nno heap")


async def test_a_signal_has_its_name(gateway: Client, tmp_path: Path) -> None:
    kernel_id = await gateway.start()
    async with opened(gateway, kernel_id) as notebook:
        cell = notebook.execute(f"open({str(tmp_path / 'here')!r}, 'w'); import time; time.sleep(60)")
        await until((tmp_path / "here").exists, "the cell")
        kill(kernel_of(gateway, kernel_id).pid)
        told = of(cell, await until_restarting(notebook))
        assert "(ended by SIGKILL, as when memory runs out)" in told[-3]["content"]["evalue"]


async def test_one_that_dies_between_two_cells_tells_none(gateway: Client) -> None:
    kernel_id = await gateway.start()
    async with opened(gateway, kernel_id) as notebook:
        await notebook.run("print('before')")
        kill(kernel_of(gateway, kernel_id).pid)
        assert "error" not in kinds(await until_restarting(notebook))


async def test_who_connects_anew_is_told(gateway: Client, tmp_path: Path) -> None:
    """The cell is its session's, whatever websocket has sent it."""
    kernel_id = await gateway.start()
    async with opened(gateway, kernel_id) as notebook:
        cell = notebook.execute(f"open({str(tmp_path / 'here')!r}, 'w'); import time; time.sleep(60)")
        await until((tmp_path / "here").exists, "the cell")
    async with opened(gateway, kernel_id) as notebook:
        kill(kernel_of(gateway, kernel_id).pid, signal.SIGTERM)
        assert "ended by SIGTERM" in of(cell, await until_restarting(notebook))[-3]["content"]["evalue"]


@pytest.mark.usefixtures("ipykernel")
async def test_what_it_prints_at_its_start_does_not_tell(gateway: Client) -> None:
    kernel_id = await gateway.start()
    async with opened(gateway, kernel_id) as notebook:
        log = KernelFiles(kernel_of(gateway, kernel_id).connection_file).log
        await until(lambda: "NOTE: When using" in log.read_text(), "what it prints")
        cell = notebook.execute("import os; os._exit(3)")
        told = of(cell, await until_restarting(notebook))
        assert told[-3]["content"]["evalue"] == "The kernel died (exit status 3)."
