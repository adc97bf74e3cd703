"""The seed notebook: what runs in each kernel of its kernelspec before anybody gets it, and what fails there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.fakes.toree import QUICK
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
FAILS = "\n\nraise ValueError('no\\n' + 'such \\x1b[1mtable')"


@pytest.fixture
def cells() -> list[str]:
    """Of the seed notebook; tests override it."""
    return ["first = 1", FAILS, "open('never', 'w')"]


@pytest.fixture
def settings(tmp_path: Path, cells: list[str]) -> dict[str, Any]:
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        cells=[nbformat.v4.new_markdown_cell("# Seed"), *map(nbformat.v4.new_code_cell, cells)],
    )
    nbformat.write(notebook, tmp_path / "seed.ipynb")
    return QUICK | {"KernelGatewayApp": {"seed_uri": str(tmp_path / "seed.ipynb")}}


def said(gateway: Any, caplog: Any) -> list[str]:
    """What the gateway's start says of its seed notebook."""
    # caplog hears each record twice: of the gateway's logger, and of the one above.
    records = {id(record): record.getMessage() for record in caplog.records}
    return [message for message in records.values() if "seed notebook" in message]


async def begin(gateway: Any, caplog: Any) -> list[str]:
    gateway.app.log.propagate = True
    await gateway.app.personality.init_configurables()
    return said(gateway, caplog)


async def test_a_cell_that_fails_is_told_once_at_the_gateways_start(gateway: Any, caplog: Any, tmp_path: Path) -> None:
    [message] = await begin(gateway, caplog)
    cell = f"In code cell 2 of 3 of the seed notebook {tmp_path}/seed.ipynb, ValueError: no such \\x1b[1mtable."
    assert message == f"No kernel python3 starts until this is mended. {cell} Please tell the administrator."
    assert gateway.app.kernel_manager.list_kernels() == [] and not (tmp_path / "never").exists()


async def test_starts_are_refused_with_that_sentence_and_leave_nothing(gateway: Any) -> None:
    manager = gateway.app.kernel_manager
    session = {"path": "a", "type": "notebook", "kernel": {"name": "python3"}}
    for path, body in (("/api/kernels", {"name": "python3"}), ("/api/kernels", None), ("/api/sessions", session)):
        answer = await gateway.ask("POST", path, body)
        assert answer.code == 503 and json.loads(answer.body)["reason"] == "Seed notebook failed"
        assert "In code cell 2 of 3" in json.loads(answer.body)["message"]
    assert manager.list_kernels() == [] and not manager.starts and not manager.seeding
    assert gateway.app.session_manager.list_sessions() == []


class TestPrespawned:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        settings["KernelGatewayApp"]["prespawn_count"] = 2
        return settings

    async def test_they_tell_it_once(self, gateway: Any, caplog: Any) -> None:
        [message] = await begin(gateway, caplog)
        assert message.startswith("A prespawned kernel did not start: In code cell 2 of 3")


class TestDies:
    @pytest.fixture
    def cells(self) -> list[str]:
        return ["import os; os._exit(3)", "1"]

    async def test_a_kernel_that_a_cell_kills_is_no_start_that_hangs(self, gateway: Any) -> None:
        answer = await gateway.ask("POST", "/api/kernels", {"name": "python3"})
        assert answer.code == 503 and "the kernel died." in json.loads(answer.body)["message"]
        assert gateway.app.kernel_manager.list_kernels() == []


class TestWorks:
    @pytest.fixture
    def cells(self) -> list[str]:
        return ["seeded = 6", "seeded *= 7"]

    async def test_each_kernel_has_run_it_and_the_start_says_nothing(self, gateway: Any, caplog: Any) -> None:
        assert await begin(gateway, caplog) == [] and gateway.app.kernel_manager.list_kernels() == []
        assert await gateway.run(await gateway.start(), "print(seeded)") == "42\n"

    async def test_a_start_of_an_id_that_runs_does_not_run_it_again(self, gateway: Any) -> None:
        kernel_id = await gateway.start()
        await gateway.run(kernel_id, "seeded = 1")
        assert await gateway.start(kernel_id=kernel_id) == kernel_id
        assert await gateway.run(kernel_id, "print(seeded)") == "1\n"


class TestWaits:
    @pytest.fixture
    def cells(self, tmp_path: Path) -> list[str]:
        return [f"import time; open({str(tmp_path / 'runs')!r}, 'w').close()", "time.sleep(600)"]

    @pytest.mark.parametrize("by", ["its client", "DELETE", "the gateway's end", "leaving it to the next"])
    async def test_whoever_ends_it_leaves_no_kernel(self, gateway: Any, tmp_path: Path, by: str) -> None:
        manager = gateway.app.kernel_manager
        start = asyncio.ensure_future(manager.start_kernel(kernel_name="python3"))
        await until((tmp_path / "runs").exists, "the seed notebook's first cell")
        [kernel_id] = manager.list_kernel_ids()
        if by == "its client":
            start.cancel()
        elif by == "DELETE":
            await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")
        elif by == "the gateway's end":
            await manager.shutdown_all_kernels()
        else:
            await manager.leave_all_kernels()
        with pytest.raises(BaseException):  # noqa: B017
            await start
        await until(lambda: not manager._tasks, "the end of what was begun")
        assert manager.list_kernels() == [] and not manager.seeding
