"""Many kernels, many clicks, and gateways that get into each other's way: real processes, python kernels, no JVM."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.survival import Ward
from tests.fakes.gateway_process import PYTHON, Gateway
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    with Gateway(tmp_path, *PYTHON, quick=True) as running:
        yield Ward(running)
    assert Ward(running).files() == [] and not (running.runtime / f"kg2at-{running.port}").exists()


def pids(ward: Ward) -> dict[str, int]:
    return {row["kernel_id"]: row["pid"] for row in ward.gateway.request("GET", "/kg2at/status").body["kernels"]}


def test_two_hundred_clicks_on_twenty_kernels(ward: Ward) -> None:
    with ThreadPoolExecutor(50) as threads:
        ids = list(threads.map(lambda _: ward.gateway.start_kernel(), range(20)))
        processes = [psutil.Process(pid) for pid in pids(ward).values()]
        codes = list(threads.map(ward.gateway.delete, ids * 10))
    assert codes == [204] * 200
    assert not any(process.is_running() for process in processes)
    assert ward.kernels() == {} and ward.files() == [] and ward.processes() == {}


def test_twenty_kernels_go_on(ward: Ward) -> None:
    with ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(lambda _: ward.gateway.start_kernel(), range(20)))
        list(threads.map(lambda kernel_id: ward.run(kernel_id, f"mine = {kernel_id!r}"), ids))
    before = pids(ward)
    ward.killed()
    assert pids(ward) == before
    for kernel_id in ids:
        assert ward.run(kernel_id, "print(mine)").strip() == kernel_id
    assert "kernel_currently_running_total" not in ward.log


def test_a_second_gateway_is_told_who_has_the_directory(ward: Ward, tmp_path: Path) -> None:
    second = Gateway(tmp_path / "second", *PYTHON, f"--KG2ATPersonality.state_dir={ward.state_dir}")
    with open(second.log_path, "wb") as log:
        ended = subprocess.run(second.argv, env=second.environ, stdout=log, stderr=log, timeout=240)
    assert ward.gateway.process is not None
    assert ended.returncode == 1
    assert f"process {ward.gateway.process.pid}" in second.log and "state_dir" in second.log
    assert "Traceback" not in second.log
    ward.is_well()


def test_a_kernel_that_died_is_gone_by_one_click(ward: Ward) -> None:
    kernel_id = ward.gateway.start_kernel()
    os.kill(pids(ward)[kernel_id], signal.SIGKILL)
    assert ward.gateway.delete(kernel_id) == 204
    assert ward.strangers() == [] and ward.kernels() == {}


def test_sessions_go_on(ward: Ward) -> None:
    body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    session = ward.gateway.request("POST", "/api/sessions", body).body
    ward.killed()
    [after] = ward.gateway.request("GET", "/api/sessions").body
    assert (after["id"], after["kernel"]["id"]) == (session["id"], session["kernel"]["id"])
    assert ward.gateway.request("DELETE", f"/api/sessions/{session['id']}").status == 204
    assert ward.gateway.request("DELETE", f"/api/sessions/{session['id']}").status == 204
    assert ward.kernels() == {}


def spoil(path: Path, how: str) -> None:
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:40])
    elif how == "wrong mode":
        path.chmod(0o666)
    elif how == "not JSON":
        path.write_text("}")
    elif os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    else:
        pytest.skip("only root can give a file away")


@pytest.mark.parametrize("how", ["truncated", "wrong mode", "not JSON", "foreign-owned"])
def test_a_record_that_is_of_no_use_stops_nothing(ward: Ward, how: str) -> None:
    ids = [ward.gateway.start_kernel() for _ in range(2)]
    for kernel_id in ids:
        ward.run(kernel_id, "kept = 1")
    ward.gateway.kill()
    record = ward.state_dir / f"{ids[0]}.json"
    spoil(record, how)
    ward.gateway.start()
    assert set(ward.kernels()) == set(ids), "the kernel itself is fine"
    assert "of no use" in ward.gateway.log and str(record) in ward.gateway.log
    for kernel_id in ids:
        assert ward.run(kernel_id, "print(kept)").strip() == "1"
    assert [ward.gateway.delete(kernel_id) for kernel_id in ids] == [204, 204]
    aside = Path(f"{record}.aside")
    assert ward.files() == [aside.name]
    aside.unlink()


def test_a_full_disk_refuses_new_kernels_and_touches_no_running_one(ward: Ward) -> None:
    """As a file-size limit of 0 has it: every write fails, whoever writes."""
    kernel_id = ward.gateway.start_kernel()
    ward.run(kernel_id, "kept = 1")
    before = set(ward.files())
    assert ward.gateway.process is not None
    resource.prlimit(ward.gateway.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    answer = ward.gateway.request("POST", "/api/kernels", {})
    assert (answer.status, answer.body["reason"]) == (503, "Kernel could not be launched"), answer
    restart = ward.gateway.request("POST", f"/api/kernels/{kernel_id}/restart", {})
    assert restart.status == 503 and "goes on as it is" in restart.body["message"], restart
    assert set(ward.kernels()) == {kernel_id} and set(ward.files()) == before
    assert ward.run(kernel_id, "print(kept)").strip() == "1"
    resource.prlimit(ward.gateway.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert ward.gateway.delete(ward.gateway.start_kernel()) == 204
    assert ward.gateway.delete(kernel_id) == 204


def test_a_state_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with Gateway(tmp_path, *PYTHON, f"--KG2ATPersonality.state_dir={tmp_path / 'state'}", quick=True) as gateway:
        answer = gateway.request("POST", "/api/kernels", {})
        assert (answer.status, answer.body["reason"]) == (503, "Kernel could not be launched"), answer
        assert str(tmp_path / "state") in answer.body["message"]
        (tmp_path / "state").unlink()
        kernel_id = gateway.start_kernel()
        assert gateway.delete(kernel_id) == 204


def test_a_click_while_it_is_started(ward: Ward) -> None:
    """By an id that the client chose; whoever started it is told."""
    answers: list[Any] = []
    for number in range(10):
        kernel_id = f"{number}-2-3-4-5"
        body = {"kernel_id": kernel_id}
        post = threading.Thread(
            target=lambda body=body: answers.append(ward.gateway.request("POST", "/api/kernels", body))  # type: ignore[misc]
        )
        post.start()
        codes = [wait_until(lambda: ward.gateway.delete(kernel_id), "an answer") for _ in range(3)]  # noqa: B023
        post.join()
        assert set(codes) <= {204, 404}
        assert ward.gateway.delete(kernel_id) == 204
    assert {answer.status for answer in answers} <= {201, 409}, answers
    assert ward.kernels() == {} and ward.strangers() == []


def test_the_record_is_for_nobody_else(ward: Ward) -> None:
    kernel_id = ward.gateway.start_kernel(env={"KERNEL_USERNAME": "ada"})
    record = ward.state_dir / f"{kernel_id}.json"
    assert record.stat().st_mode & 0o777 == 0o600 and ward.state_dir.stat().st_mode & 0o777 == 0o700
    assert json.loads(record.read_text())["env"] == {"KERNEL_USERNAME": "ada"}
    assert ward.gateway.token not in record.read_text()
