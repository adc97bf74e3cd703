"""Whatever a notebook or a disk does to a kernel's files: an answer that says so, one line of log, no traceback."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.kernels import files
from kg2at_personality.state import ledger
from tests.fakes.gateways import Gateways, code_of, kernel_of

pytestmark = pytest.mark.gen_test(timeout=60)


def garbage(path: Path) -> None:
    path.write_text("# not the notebook's\n")


def nothing_in_it(path: Path) -> None:
    path.write_text("{}")


def another_kernels(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"shell_port": 1, "key": "x"}))


def link(path: Path) -> None:
    victim = path.with_name("victim")
    victim.write_text("precious")
    path.unlink()
    path.symlink_to(victim)


@pytest.mark.parametrize("spoil", [garbage, nothing_in_it, another_kernels, link, Path.unlink])
async def test_a_restart_writes_the_connection_file_anew(gateways: Gateways, spoil: Callable[[Path], None]) -> None:
    client = await gateways.open()
    kernel_id = await client.start()
    await kernel_of(client, kernel_id).answered()
    path = gateways.connection_file(kernel_id)
    before = json.loads(path.read_text())
    spoil(path)
    assert await code_of(client, "POST", kernel_id, "/restart") == 200
    assert await client.run(kernel_id, "print(6 * 7)") == "42\n"
    assert json.loads(path.read_text()) == before and path.stat().st_mode & 0o777 == 0o600 and not path.is_symlink()
    victim = path.with_name("victim")
    assert not victim.exists() or victim.read_text() == "precious"


async def test_what_can_not_be_written_anew_is_told(gateways: Gateways, caplog: pytest.LogCaptureFixture) -> None:
    client = await gateways.open()
    kernel_id = await client.start()
    await kernel_of(client, kernel_id).answered()
    path = gateways.connection_file(kernel_id)
    path.unlink()
    path.mkdir()
    answer = await client.ask("POST", f"/api/kernels/{kernel_id}/restart")
    path.rmdir()
    assert answer.code == 503 and b"could not be restarted" in answer.body and b"Is a directory" in answer.body
    assert not tracebacks(caplog)
    assert kernel_of(client, kernel_id).is_dead and await code_of(client, "DELETE", kernel_id) == 204


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the records with a traceback. asyncio's are left out: they may be of other tests' garbage."""
    records = [record for record in caplog.records if record.name != "asyncio" and record.levelno > logging.DEBUG]
    return [record.getMessage() for record in records if record.exc_info or "Traceback" in record.getMessage()]


def full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def no_disk_for_records(monkeypatch: pytest.MonkeyPatch, gateways: Gateways) -> None:
    monkeypatch.setattr(ledger, "write_private", full)


def no_disk_for_files(monkeypatch: pytest.MonkeyPatch, gateways: Gateways) -> None:
    monkeypatch.setattr(files, "write_private", full)


def no_runtime_directory(monkeypatch: pytest.MonkeyPatch, gateways: Gateways) -> None:
    shutil.rmtree(gateways.spark.runtime)


def no_state_directory(monkeypatch: pytest.MonkeyPatch, gateways: Gateways) -> None:
    shutil.rmtree(gateways.path)
    gateways.path.write_text("a file")


def no_pipes(monkeypatch: pytest.MonkeyPatch, gateways: Gateways) -> None:
    def used_up() -> Any:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe", used_up)


@pytest.mark.parametrize("name", ["python3", "apache_toree_scala"])
@pytest.mark.parametrize(
    "spoil", [no_disk_for_records, no_disk_for_files, no_runtime_directory, no_state_directory, no_pipes]
)
async def test_a_start_that_fails_is_a_line(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, spoil: Any, name: str
) -> None:
    client = await gateways.open()
    with monkeypatch.context() as patch:
        spoil(patch, gateways)
        caplog.clear()
        answer = await client.ask("POST", "/api/kernels", {"name": name})
    assert answer.code == 503 and "could not be launched" in json.loads(answer.body)["message"]
    own = [record for record in caplog.records if record.levelno > logging.INFO and record.name == "KernelGatewayApp"]
    assert [record.getMessage() for record in own if "POST /api/kernels" not in record.getMessage()] == []
    assert len(own) == 1 and not tracebacks(caplog), caplog.text
    assert client.app.kernel_manager.list_kernel_ids() == [] and gateways.spark.living() == []


async def test_a_state_directory_that_is_none_is_a_line(gateways: Gateways, caplog: pytest.LogCaptureFixture) -> None:
    gateways.path.write_text("a file")
    client = await gateways.open()
    answer = await client.ask("POST", "/api/kernels", {"name": "python3"})
    assert answer.code == 503 and "could not be launched" in json.loads(answer.body)["message"]
    assert not tracebacks(caplog)
    assert sum("state directory" in record.getMessage() for record in caplog.records) == 1
